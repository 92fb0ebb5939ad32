"""Request and answer bodies of the API, by subject."""
