"""The key of the services that benchmarks start, and how it is sent."""

KEY = "key-of-the-benchmarks-0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {KEY}"}
