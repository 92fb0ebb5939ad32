"""How much a figure, or the difference of two, could be chance: the bootstrap over test rows.

Sources: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 6, 13 and 16. Rows that have one
label are drawn label by label (stratified), so that no label is missing from a resample. Pairs: both models are scored
on the same resampled rows, so that rows that are hard for both do not blur the difference.

The interval of a share (any figure from 0 to 1) is Wilson's (1927) with an effective number of rows, p (1 - p) divided
by the variance, never more than there are (Korn and Graubard 1998): it always holds its own figure, lies between 0 and
1, and is wide where a handful of rows are all right, of which resamples would only say that they are all right again.
"""

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

RESAMPLES = 1000
CONFIDENCE = 0.95
#: Standard deviations between which the middle `CONFIDENCE` of a normal distribution lies.
DEVIATIONS = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

Statistic = Callable[[np.ndarray], float]
"""A figure of some test rows, given as int64 indices of shape (rows,); a row may be there several times."""


class Interval(NamedTuple):
    """Between which bounds a figure lies with `CONFIDENCE`; its own value is always within."""

    low: float
    high: float


def worst_difference(ours: Statistic, theirs: Statistic, row_count: int, *, strata: np.ndarray | None = None) -> float:
    """Return the lower bound of ours minus theirs, one-sided, at `CONFIDENCE` (percentile method)."""
    own, drawn = _differences(ours, theirs, row_count, strata)
    return min(own, float(np.quantile(drawn, 1 - CONFIDENCE)))


def difference_interval(
    ours: Statistic, theirs: Statistic, row_count: int, *, strata: np.ndarray | None = None
) -> Interval:
    """Return between which bounds ours minus theirs lies, two-sided: by the bootstrap's standard error and Student's t.

    `strata`: int64 of shape (rows,), the true label of each row where rows have one.
    """
    own, drawn = _differences(ours, theirs, row_count, strata)
    low, high = _around(own, drawn, row_count)
    every = np.arange(row_count)
    shares = 0 <= ours(every) <= 1 and 0 <= theirs(every) <= 1
    return Interval(max(low, -1.0), min(high, 1.0)) if shares else Interval(low, high)


def interval(
    figure: Statistic,
    row_count: int,
    *,
    strata: np.ndarray | None = None,
    size: float | None = None,
    share: bool = True,
) -> Interval:
    """Return between which bounds a figure lies, two-sided.

    `size`: rows that the figure is about, such as those of one label; unset: all. `share`: whether it lies between 0
    and 1; others get bounds by the bootstrap's standard error and Student's t.
    """
    own = figure(np.arange(row_count))
    drawn = np.array([figure(rows) for rows in _resamples(row_count, strata)])
    if not share:
        return _around(own, drawn, row_count)
    variance, size = float(np.nanvar(drawn)), row_count if size is None else size
    return share_interval(own, min(size, own * (1 - own) / variance) if variance and 0 < own < 1 else size)


def share_interval(share: float, size: float) -> Interval:
    """Return Wilson's interval of a share of `size` rows, which may be a broken number."""
    if size <= 0:
        return Interval(0.0, 1.0)
    shift = DEVIATIONS**2 / size
    half = DEVIATIONS * math.sqrt(share * (1 - share) / size + shift / (4 * size))
    low, high = ((share + shift / 2 + side) / (1 + shift) for side in (-half, half))
    return Interval(max(0.0, min(low, share)), min(1.0, max(high, share)))


def rows_to_decide(row_count: int, value: float, low: float, minimum: float) -> int | None:
    """Return of how many rows the interval's lower bound would reach a minimum, were the figure the same; None where
    no number of rows is enough.

    Wilson's interval is the inverse of the test by z = (p - m) / sqrt(m (1 - m) / n), which is solved for n.
    """
    if not value > minimum or not value > low:
        return None
    needed = (value - low) ** 2 / (value - minimum) ** 2
    if 0 < low < value <= 1 and minimum > 0:
        needed *= minimum * (1 - minimum) / (low * (1 - low))
    return math.ceil(row_count * needed)


def _differences(
    ours: Statistic, theirs: Statistic, row_count: int, strata: np.ndarray | None
) -> tuple[float, np.ndarray]:
    """Return the difference on all rows, and those on the resamples."""
    every = np.arange(row_count)
    drawn = np.array([ours(rows) - theirs(rows) for rows in _resamples(row_count, strata)])
    return ours(every) - theirs(every), drawn


def _resamples(row_count: int, strata: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield the same resamples for the same rows, so that a verdict can be worked out again."""
    draw = np.random.default_rng(0)
    if strata is None:
        return (draw.integers(0, row_count, row_count) for _ in range(RESAMPLES))
    # Rows in the order of their strata: each place draws from its own stratum's places.
    order = np.argsort(strata, kind="stable")
    _, starts, counts = np.unique(strata[order], return_index=True, return_counts=True)
    first, many = np.repeat(starts, counts), np.repeat(counts, counts)
    return (order[first + (draw.random(row_count) * many).astype(np.int64)] for _ in range(RESAMPLES))


def _around(own: float, drawn: np.ndarray, row_count: int) -> Interval:
    half = float(np.nanstd(drawn) * student.ppf((1 + CONFIDENCE) / 2, max(1, row_count - 1)))
    return Interval(own - half, own + half)
