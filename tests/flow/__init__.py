"""A whole stack, as its users start it: trained, promoted, served, stopped."""
