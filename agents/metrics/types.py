"""Records of metrics that travel with a model."""

import math
from typing import Annotated

from pydantic import AfterValidator, Field

from agents.base.records import Record


def _finite(figures: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if math.isfinite(value)}


#: Name -> a figure of a version. One that is not a number is none, and JSON has no word for it.
Figures = Annotated[dict[str, float], AfterValidator(_finite)]


class Threshold(Record):
    """A probability of the positive label from which on a binary classifier would say it, chosen on the validation
    split by F1. A finding only: every runtime answers with the likelier label, which is a threshold of 0.5."""

    label: str
    value: float
    validation_rows: int
    validation_f1: float
    validation_f1_at_half: float
    test: dict[str, float]
    """`accuracy`, `precision`, `recall`, `f1` of the test split as they would be with it."""


class Calibration(Record):
    """How a classifier's confidence is made what it should be, by its validation split; figures of the test split."""

    temperature: float = Field(
        title="Temperature",
        description="Above 1 its answers become less sure, below 1 surer; labels stay.",
    )
    validation_rows: int = Field(title="Validation rows", description="Rows that it was fitted on.")
    ece_before: float = Field(title="ECE before", description="Expected calibration error as trained.")
    ece: float = Field(title="ECE", description="Expected calibration error with the temperature.")
    unsure_below: float = Field(
        title="Unsure below", description="Confidence under which an answer is told to be unsure."
    )
    unsure_share: float = Field(title="Unsure share", description="Share of the test rows that this is said of.")
    accuracy_sure: float | None = Field(
        title="Accuracy where sure", description="Accuracy of the other test rows; null where there are none."
    )


#: Formats of one version differ in further digits, and many confidences lie close to 1.
CONFIDENCE_DIGITS = 2


class Histogram(Record):
    """`counts[i]` values lie at or above `edges[i - 1]` and below `edges[i]`; there is one count more than edges."""

    edges: list[float]
    counts: list[int]


class Reference(Record):
    """What a model's predictions on the test split were like, for serving to tell drift by."""

    rows: int
    labels: dict[str, int]
    """Label -> how many rows were given it; a row may have several, or none."""
    confidence: Histogram
    """Rounded to `CONFIDENCE_DIGITS`."""
    length: Histogram
    """Characters of the cleaned text."""
    value: Histogram | None = None
    """Of a model of numbers: its answers, in place of labels and confidence."""
