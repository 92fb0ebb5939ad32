"""Drift: how far the last predictions of a version lie from those that it was judged on.

Of each signal (labels and confidence, or the number; length in characters) the population stability index of a
sliding window against the reference in the manifest: the sum over bins of (actual - expected) * ln(actual /
expected), both as shares (Siddiqi 2006, "Credit Risk Scorecards", chapter 9). By custom below 0.1 is
little, above 0.25 much. Chance alone makes it B - 1 degrees of chi-squared times (1/N + 1/M) for B bins, N rows of the
reference and M of the window (Yurdakul 2018, "Statistical Properties of Population Stability Index"): what stays below
the 95 % quantile of that is no drift that anybody could tell.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog

from agents.data.cleaning import clean_text
from agents.formats.manifest import Manifest
from agents.metrics.types import CONFIDENCE_DIGITS, Histogram, Reference
from agents.models.classifiers.base import Prediction

log = structlog.get_logger()
#: With fewer predictions in the window no drift is reported.
WINDOW_LEAST = 100
LITTLE, MUCH = 0.1, 0.25
#: 95 % of a normal distribution lie below it.
NORMAL_95 = 1.6449


class _Signal(NamedTuple):
    """What is watched. `bins`: those of `expected` that a text and its prediction fall into."""

    name: str
    expected: list[int]
    bins: Callable[[str, Prediction], tuple[int, ...]]


class DriftWindow:
    """The last predictions of one version, each as its bins; counts are kept as they come and go."""

    def __init__(self, reference: Reference, size: int) -> None:
        self.reference = reference
        self._signals = _signals(reference)
        self._size = size
        self._bins: deque[tuple[tuple[int, ...], ...]] = deque()
        self.counts = tuple([0] * len(signal.expected) for signal in self._signals)

    def add(self, texts: Sequence[str], predictions: Sequence[Prediction]) -> None:
        """Take predictions; each takes microseconds."""
        for text, found in zip(texts, predictions, strict=True):
            bins = tuple(signal.bins(text, found) for signal in self._signals)
            self._bins.append(bins)
            self._count(bins, 1)
            if len(self._bins) > self._size:
                self._count(self._bins.popleft(), -1)

    def _count(self, bins: tuple[tuple[int, ...], ...], by: int) -> None:
        for counts, places in zip(self.counts, bins, strict=True):
            for place in places:
                counts[place] += by

    def report(self) -> dict[str, Any]:
        """Return how many predictions the window has, and of each signal its index once there are enough."""
        counts = [list(found) for found in self.counts]
        seen = len(self._bins)
        signals = {}
        if seen >= WINDOW_LEAST:
            for signal, actual in zip(self._signals, counts, strict=True):
                signals[signal.name] = _signal(signal.expected, actual)
        return {"window": seen, "reference_rows": self.reference.rows, "signals": signals}


def _signals(reference: Reference) -> list[_Signal]:
    """Return what is watched: which labels and how sure, or how large the number, and how long the texts are."""
    length = reference.length.edges
    lengths = _Signal("length", reference.length.counts, lambda text, _: (bisect_right(length, len(clean_text(text))),))
    if reference.value is not None:
        values = reference.value.edges
        return [
            _Signal("value", reference.value.counts, lambda _, one: (bisect_right(values, one.value or 0.0),)),
            lengths,
        ]
    place = {label: number for number, label in enumerate(reference.labels)}
    sure = reference.confidence.edges
    return [
        _Signal("labels", list(reference.labels.values()), lambda _, one: tuple(place[label] for label in one.counted)),
        _Signal(
            "confidence",
            reference.confidence.counts,
            lambda _, one: (bisect_right(sure, round(one.confidence, CONFIDENCE_DIGITS)),),
        ),
        lengths,
    ]


def read_reference(manifest: Manifest) -> Reference | None:
    """Return the reference that travels in a manifest.

    None in one of a version that was judged without, and where it can't be used: answers matter more than their drift.
    """
    reference = manifest.reference
    damaged = "reference" in manifest.unreadable
    if reference is not None:
        histograms = (reference.confidence, reference.length, reference.value)
        whole = all(_is_whole(histogram) for histogram in histograms if histogram is not None)
        damaged = not whole or set(reference.labels) != set(manifest.labels)
    if damaged:
        log.warning("reference_unreadable", model=manifest.name, version=manifest.version)
        return None
    return reference


def stability_index(expected: Sequence[int], actual: Sequence[int]) -> float:
    """Return the population stability index of two counts over the same bins.

    Half a row is added to every bin, so that an empty one makes the index large but not infinite.
    """
    bins = len(expected)
    before = [(count + 0.5) / (sum(expected) + bins / 2) for count in expected]
    after = [(count + 0.5) / (sum(actual) + bins / 2) for count in actual]
    return sum((b - a) * math.log(b / a) for a, b in zip(before, after, strict=True))


def chance_index(bins: int, reference_rows: int, window: int) -> float:
    """Return the index that chance alone stays below in 95 of 100 windows.

    The quantile of chi-squared by Wilson and Hilferty (1931), right to about 3 % from one degree of freedom on.
    """
    if bins < 2 or not reference_rows or not window:
        return 0.0
    degrees = bins - 1
    share = 2 / (9 * degrees)
    quantile = degrees * (1 - share + NORMAL_95 * math.sqrt(share)) ** 3
    return quantile * (1 / reference_rows + 1 / window)


def _signal(expected: Sequence[int], actual: Sequence[int]) -> dict[str, Any]:
    index = stability_index(expected, actual)
    chance = chance_index(len(expected), sum(expected), sum(actual))
    drift = "none" if index < max(LITTLE, chance) else "some" if index < MUCH else "much"
    return {"psi": round(index, 6), "chance": round(chance, 6), "drift": drift}


def _is_whole(histogram: Histogram) -> bool:
    return len(histogram.counts) == len(histogram.edges) + 1 and histogram.edges == sorted(histogram.edges)
