"""Serving: its own process, which answers with what is promoted."""
