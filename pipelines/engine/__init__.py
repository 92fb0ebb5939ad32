"""The engine: decides what runs next, keeps the state, and runs attempts."""
