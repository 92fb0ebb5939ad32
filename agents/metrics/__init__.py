"""Figures: of labels, answers, numbers and probabilities, and how sure they are."""
