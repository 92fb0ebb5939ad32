"""The reference of drift: how labels, confidences and lengths lay on the test split, for serving to compare with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agents.data.cleaning import clean_text
from agents.metrics.types import CONFIDENCE_DIGITS, Histogram, Reference

BINS_MOST = 10
#: With fewer rows in a bin chance alone would look like drift.
ROWS_PER_BIN = 20


def label_reference(labels: Sequence[str], texts: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Reference:
    """Return the reference of predictions: `rows` have `predicted` (a label, or a list of them) and `confidence`, in
    the order of the texts."""
    predicted = Counter(label for row in rows for label in _listed(row["predicted"]))
    return Reference(
        rows=len(rows),
        labels={label: predicted[label] for label in labels},
        confidence=histogram([round(float(row["confidence"]), CONFIDENCE_DIGITS) for row in rows]),
        length=histogram([float(len(clean_text(text))) for text in texts]),
    )


def number_reference(label: str, texts: Sequence[str], values: Sequence[float]) -> Reference:
    """Return the reference of predicted numbers, in the order of the texts. `label`: the name of the model's output."""
    return Reference(
        rows=len(values),
        labels={label: len(values)},
        confidence=Histogram(edges=[], counts=[len(values)]),
        length=histogram([float(len(clean_text(text))) for text in texts]),
        value=histogram(values),
    )


def _listed(predicted: str | list[str]) -> list[str]:
    return [predicted] if isinstance(predicted, str) else predicted


def histogram(values: Sequence[float]) -> Histogram:
    """Return values counted between their own quantiles: up to ten bins, as many as the rows allow."""
    count = max(2, min(BINS_MOST, len(values) // ROWS_PER_BIN))
    ordered = sorted(values)
    cuts = (ordered[len(ordered) * number // count] for number in range(1, count)) if ordered else ()
    # Many values may be alike (a confidence of 1.0): one cut is enough for them, and none where nothing lies below.
    edges = sorted({cut for cut in cuts if cut > ordered[0]})
    found = Counter(sum(value >= edge for edge in edges) for value in values)
    return Histogram(edges=edges, counts=[found[place] for place in range(len(edges) + 1)])
