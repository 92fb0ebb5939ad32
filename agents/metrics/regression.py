"""Figures of labels that are numbers, such as one to five stars: how far off, where other figures only know wrong."""

import math

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

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
    """Return `mae`, `rmse`, `r2` and `spearman` of the number that is expected by the probabilities; nothing where
    labels are not numbers. `r2` and `spearman` are left out where all rows have one number.

    Arguments as in `metrics/classification.py`. The expected number is the sum of each label times its probability.
    """
    values = label_values(names)
    if values is None:
        return {}
    true, expected = np.array(values)[labels], scores @ np.array(values)
    found = {
        "mae": float(mean_absolute_error(true, expected)),
        "rmse": float(root_mean_squared_error(true, expected)),
    }
    if np.ptp(true) == 0 or np.ptp(expected) == 0:
        return found
    return found | {"r2": float(r2_score(true, expected)), "spearman": float(spearmanr(true, expected).statistic)}
