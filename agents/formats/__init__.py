"""Formats: what a model can be exported as. One object knows all that is particular to its format."""
