"""Figures of answers to test rows, and how sure they are. Evaluation judges by them, comparison tables them."""
