"""The routes below `/v1`, which speak OpenAI's API."""
