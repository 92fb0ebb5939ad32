"""Conversations as text and tokens: templates, their fingerprints, and what of a conversation is learned."""
