"""How much a figure, or the difference of two, could be chance: the bootstrap over test rows.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 13 and 16. Pairs: both models are
scored on the same resampled rows, so that rows that are hard for both do not blur the difference.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

RESAMPLES = 1000
CONFIDENCE = 0.95

Statistic = Callable[[np.ndarray], float]
"""A figure of some test rows, given as int64 indices of shape (rows,); a row may be there several times."""


class Interval(NamedTuple):
    """The middle `CONFIDENCE` of what resampling gives (percentile method)."""

    low: float
    high: float


def worst_difference(ours: Statistic, theirs: Statistic, row_count: int) -> float:
    """Return the lower bound of ours minus theirs, one-sided, at `CONFIDENCE`."""
    return float(np.quantile(_paired_differences(ours, theirs, row_count), 1 - CONFIDENCE))


def difference_interval(ours: Statistic, theirs: Statistic, row_count: int) -> Interval:
    """Return between which bounds ours minus theirs lies, two-sided."""
    return _middle(_paired_differences(ours, theirs, row_count))


def interval(figure: Statistic, row_count: int) -> Interval:
    """Return between which bounds a figure lies, two-sided."""
    return _middle(np.array([figure(rows) for rows in _resamples(row_count)]))


def _paired_differences(ours: Statistic, theirs: Statistic, row_count: int) -> np.ndarray:
    return np.array([ours(rows) - theirs(rows) for rows in _resamples(row_count)])


def _resamples(row_count: int) -> Iterator[np.ndarray]:
    """Yield the same resamples for the same number of rows, so that a verdict can be worked out again."""
    draw = np.random.default_rng(0)
    return (draw.integers(0, row_count, row_count) for _ in range(RESAMPLES))


def _middle(values: np.ndarray) -> Interval:
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))
