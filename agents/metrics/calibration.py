"""Whether a classifier is as sure as it is right: of the answers given with 80 %, four in five should be right."""

from typing import NamedTuple

import numpy as np

BINS = 15


class CalibrationBin(NamedTuple):
    """Answers of like confidence (above `low`, up to `high`): their mean confidence, and how many were right."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def calibration_bins(right: np.ndarray, confidence: np.ndarray) -> list[CalibrationBin]:
    """Return the bins of like width that have answers. `right`: bool, `confidence`: float, both of shape (rows,)."""
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    found = []
    for number in np.unique(place).tolist():
        inside = place == number
        means = float(confidence[inside].mean()), float(right[inside].mean())
        found.append(CalibrationBin(number / BINS, (number + 1) / BINS, int(inside.sum()), *means))
    return found


def calibration_error(bins: list[CalibrationBin]) -> float:
    """Return the expected calibration error: the mean distance of confidence from accuracy, weighted by rows.

    Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017), with their 15 bins.
    """
    rows = sum(one.rows for one in bins)
    return sum(one.rows * abs(one.accuracy - one.confidence) for one in bins) / max(1, rows)
