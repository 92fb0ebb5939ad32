"""Classifiers in memory, whichever runtime is behind them."""
