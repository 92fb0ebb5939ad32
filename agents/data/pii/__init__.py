"""Personal data: found by rules, or by a language model of names."""
