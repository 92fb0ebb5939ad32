"""Rows: how they are read, cleaned, compared, counted and stored."""
