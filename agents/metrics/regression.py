"""Figures of numbers, and of labels that are numbers, such as one to five stars: how far off answers are."""

import math

import numpy as np
from scipy.stats import rankdata

#: Of two numbers, 0 and 1 above all, accuracy and F1 tell as much.
LABELS_LEAST = 3


def label_values(names: list[str]) -> list[float] | None:
    """Return the numbers that labels are; None where one is none, or there are only two."""
    try:
        values = [float(name) for name in names]
    except ValueError:
        return None
    return values if len(values) >= LABELS_LEAST and all(map(math.isfinite, values)) else None


def number_metrics(labels: np.ndarray, scores: np.ndarray, names: list[str]) -> dict[str, float]:
    """Return the figures of the number that is expected by the probabilities; nothing where labels are not numbers.

    Arguments as in `metrics/classification.py`. The expected number is the sum of each label times its probability.
    """
    values = label_values(names)
    return {} if values is None else value_metrics(np.array(values)[labels], scores @ np.array(values))


def value_metrics(true: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Return `mae`, `rmse`, `r2` and `spearman` of numbers, float64 of shape (rows,). `r2` and `spearman` are left out
    where all rows have one number."""
    errors = {name: value_metric(true, found, name) for name in ("mae", "rmse")}
    if np.ptp(true) == 0 or np.ptp(found) == 0:
        return errors
    return errors | {name: value_metric(true, found, name) for name in ("r2", "spearman")}


def value_metric(true: np.ndarray, found: np.ndarray, metric: str) -> float:
    """Return one of these figures; where all rows have one number, which a resample may, `r2` and `spearman` are 0."""
    if metric == "mae":
        return float(np.abs(true - found).mean())
    if metric == "rmse":
        return float(np.sqrt(np.square(true - found).mean()))
    if np.ptp(true) == 0 or np.ptp(found) == 0:
        return 0.0
    if metric == "r2":
        return float(1 - np.square(true - found).sum() / np.square(true - true.mean()).sum())
    return float(np.corrcoef(rankdata(true), rankdata(found))[0, 1])
