"""The routes below `/v1`, which speak as OpenAI's API does."""
