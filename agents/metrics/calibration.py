"""Whether a classifier is as sure as it is right: of the answers given with 80 %, four in five should be right.

And how it is made so: by one temperature, fitted on validation rows, which changes no label. Source: Guo, Pleiss, Sun
and Weinberger, "On Calibration of Modern Neural Networks" (2017).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from agents.metrics.types import Calibration

BINS = 15
#: With fewer validation rows a temperature would be chance.
ROWS_LEAST = 20
#: Beyond these a temperature says that the rows are too few, not that the model is that sure.
COLDEST, HOTTEST = 0.25, 10.0
#: To pass an answer on to a person costs so much of what a wrong answer costs.
PASSING_ON = 0.2
#: No more than this is asked for, however the validation rows lie.
SUREST = 0.95
#: Of float32: a probability is never less.
SMALLEST = 1e-38


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
    """Return the expected calibration error (ECE): the mean distance of confidence from accuracy, weighted by rows."""
    rows = sum(one.rows for one in bins)
    return sum(one.rows * abs(one.accuracy - one.confidence) for one in bins) / max(1, rows)


def fit_temperature(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the temperature with the least cross-entropy. `labels`: int64 of shape (rows,), `scores`: float64 of
    shape (rows, labels).

    The true label counts with (rows + 1) / (rows + 2) and the others share the rest, as in Platt, "Probabilistic
    Outputs for Support Vector Machines" (1999): else rows that are all right would make a model sure without bounds.
    """
    logs, count = np.log(np.maximum(scores, SMALLEST)), scores.shape[1]
    rest = 1 / (len(labels) + 2)
    targets = np.full(scores.shape, rest / (count - 1))
    targets[np.arange(len(labels)), labels] = 1 - rest

    def cross_entropy(log_temperature: float) -> float:
        scaled = logs / math.exp(log_temperature)
        total = scaled.max(axis=1) + np.log(np.exp(scaled - scaled.max(axis=1, keepdims=True)).sum(axis=1))
        return float((targets * (total[:, None] - scaled)).sum())

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    return round(math.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded").x), 4)


def tempered(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities as they are at a temperature: float64 of shape (rows, labels)."""
    powers: np.ndarray = scores ** (1 / temperature)
    total: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return total


def unsure_threshold(right: np.ndarray, confidence: np.ndarray) -> float:
    """Return the confidence under which an answer is better passed on to a person than given.

    Source: Chow, "On Optimum Recognition Error and Reject Tradeoff" (1970): the least of what wrong answers cost (1
    each) and what passing on costs (`PASSING_ON` each) on these rows. Of equal thresholds the one nearest to 1 -
    PASSING_ON, which is the best where confidence is as it should be; never above `SUREST`.
    """
    asked = np.unique(np.append(confidence[confidence <= SUREST], [1 - PASSING_ON, SUREST]))
    given = confidence[None, :] >= asked[:, None]
    cost = (given & ~right[None, :]).sum(axis=1) + PASSING_ON * (~given).sum(axis=1)
    order = np.lexsort((np.abs(asked - (1 - PASSING_ON)), np.round(cost, 6)))
    return round(float(asked[order[0]]), 4)


def calibrate(validation: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Calibration | None:
    """Return the temperature and the threshold of the validation rows, and what they do on the test rows; None where
    the validation rows are too few. Each: labels int64 of shape (rows,), scores float64 of shape (rows, labels).
    """
    labels, scores = validation
    if len(labels) < ROWS_LEAST:
        return None
    temperature = fit_temperature(labels, scores)
    scores = tempered(scores, temperature)
    unsure_below = unsure_threshold(scores.argmax(axis=1) == labels, scores.max(axis=1))
    after = tempered(test[1], temperature)
    right, confidence = after.argmax(axis=1) == test[0], after.max(axis=1)
    sure = confidence >= unsure_below
    return Calibration(
        temperature=temperature,
        validation_rows=len(labels),
        ece_before=calibration_error(calibration_bins(right, test[1].max(axis=1))),
        ece=calibration_error(calibration_bins(right, confidence)),
        unsure_below=unsure_below,
        unsure_share=float((~sure).mean()),
        accuracy_sure=float(right[sure].mean()) if sure.any() else None,
    )
