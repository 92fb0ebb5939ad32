"""Rows: how they are read, cleaned, told apart, counted and kept."""
