"""Versions in memory: chosen by format, fetched, loaded beside what is served, switched."""
