"""Tests mirror the source, in tiers by what a test needs."""
