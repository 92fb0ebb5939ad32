"""Figures of classifiers: from true and predicted labels, and from the probabilities behind them.

In all of this `labels` and `predicted` are int64 of shape (rows,), indices into `names`; `scores` is float64 of shape
(rows, labels), probabilities that sum to 1.
"""

from typing import Any

import numpy as np
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from agents.base.errors import InvalidData
from agents.data.files.names import listed_labels
from agents.metrics.calibration import calibration_bins, calibration_error
from agents.metrics.f1 import f1_score
from agents.metrics.regression import number_metrics

#: A picture with more curves tells nothing; the commonest labels are kept.
CURVES_MOST = 8
POINTS_MOST = 200


def confusion(labels: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """Return how often each true label (row) was predicted as each label (column): int64 of shape (count, count)."""
    return np.bincount(labels * count + predicted, minlength=count * count).reshape(count, count)


def metric_value(matrix: np.ndarray, metric: str, positive: int | None) -> float:
    """Return a metric of a confusion matrix; of nothing found or nothing there it is 0.

    Recall, precision and F1 are those of the `positive` label, without one the means over the labels that rows have.
    """
    if metric == "accuracy":
        return float(np.diag(matrix).sum() / max(1, matrix.sum()))
    each, present = of_each_label(matrix), matrix.sum(axis=1) > 0
    if metric == "macro_f1":
        return _of(each["f1"], None, present)
    return _of(each[metric], positive, present)


def metric_size(matrix: np.ndarray, metric: str, positive: int | None) -> float:
    """Return how many rows a metric is about, for its interval.

    Of one label these are the trials that it is a share of: for recall the rows that have the label, for precision
    those that were given it, for F1 both together. A mean over labels has as many as rows of one kind that would vary
    as much: labels squared over the sum of 1 / rows of each.
    """
    present, named = matrix.sum(axis=1), matrix.sum(axis=0)
    if metric == "accuracy":
        return float(matrix.sum())
    if positive is None or metric == "macro_f1":
        counts = present[present > 0]
        return float(len(counts) ** 2 / (1 / counts).sum()) if len(counts) else 0.0
    return float({"recall": present, "precision": named, "f1": present + named}[metric][positive])


def of_each_label(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return `precision`, `recall` and `f1` of each label, float64 of shape (labels,); of nothing found or nothing
    there they are 0."""
    hits, present, named = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return {
        "precision": hits / np.maximum(1, named),
        "recall": hits / np.maximum(1, present),
        "f1": f1_score(hits, named, present),
    }


def positive_label(configured: str | None, labels: list[str]) -> str | None:
    """Return the label that precision, recall and F1 are about: the configured one; of two, the last by name (`spam`,
    `positive`, `yes`); of more none, and they are means over labels.

    Raises:
        InvalidData: the configured one is not one of the labels.
    """
    if configured is None:
        return labels[-1] if len(labels) == 2 else None
    if configured not in labels:
        raise InvalidData(
            f"positive_label is '{configured}', but the rows have {listed_labels(labels)}.", cure="Name one of these."
        )
    return configured


def positive_index(configured: str | None, labels: list[str]) -> int | None:
    """Return the index of the positive label. Raises: as `positive_label`."""
    label = positive_label(configured, labels)
    return None if label is None else labels.index(label)


def label_metrics(
    labels: np.ndarray, predicted: np.ndarray, scores: np.ndarray, names: list[str], positive: int | None
) -> dict[str, float]:
    """Return accuracy; precision, recall and F1 of the positive label (without one the means over labels),
    of each label, and their means over labels (`macro_`) and over rows (`micro_f1`); of the probabilities `roc_auc`,
    `ece` and `brier`; and where labels are numbers those of `number_metrics`.

    Means over labels are over those that rows have: one that no row has says nothing of the model. `brier` of two
    labels lies between 0 and 1, of more between 0 and 2 (Brier 1950).
    """
    matrix = confusion(labels, predicted, len(names))
    each = of_each_label(matrix)
    precision, recall, f1 = each["precision"], each["recall"], each["f1"]
    present = matrix.sum(axis=1) > 0
    found = {
        "accuracy": float((labels == predicted).mean()),
        "precision": _of(precision, positive, present),
        "recall": _of(recall, positive, present),
        "f1": _of(f1, positive, present),
        "macro_precision": _of(precision, None, present),
        "macro_recall": _of(recall, None, present),
        "macro_f1": _of(f1, None, present),
        # Each row has one label and is given one, so that over rows F1 is the accuracy.
        "micro_f1": float((labels == predicted).mean()),
        **roc_auc(labels, scores, names, positive),
        "ece": calibration_error(calibration_bins(labels == predicted, scores.max(axis=1))),
        "brier": float(brier_score_loss(labels, _summing_to_one(scores), labels=range(len(names)))),
        **number_metrics(labels, scores, names),
    }
    for index, name in enumerate(names):
        found |= {
            f"precision.{name}": float(precision[index]),
            f"recall.{name}": float(recall[index]),
            f"f1.{name}": float(f1[index]),
        }
    return found


def roc_auc(labels: np.ndarray, scores: np.ndarray, names: list[str], positive: int | None) -> dict[str, float]:
    """Return the area under the ROC curve: of two labels that of the positive one; of more the mean of each label
    against the rest, and each by itself. A label that no test row has, or all of them have, has none.
    """
    asked = [positive] if len(names) == 2 and positive is not None else range(len(names))
    found = {
        names[index]: float(roc_auc_score(labels == index, scores[:, index]))
        for index in asked
        if 0 < (labels == index).sum() < len(labels)
    }
    if not found:
        return {}
    each = {f"roc_auc.{name}": value for name, value in found.items()} if len(names) > 2 else {}
    return {"roc_auc": sum(found.values()) / len(found), **each}


def roc_curves(labels: np.ndarray, scores: np.ndarray, names: list[str], positive: int | None) -> dict[str, Any]:
    """Return label -> `{"false_positive_rate", "true_positive_rate"}`, of two labels only the positive one's."""
    counts = np.bincount(labels, minlength=len(names))
    asked = (
        [positive]
        if len(names) == 2 and positive is not None
        else np.argsort(-counts, kind="stable")[:CURVES_MOST].tolist()
    )
    curves = {}
    for index in asked:
        if 0 < counts[index] < len(labels):
            false_rate, true_rate, _ = roc_curve(labels == index, scores[:, index])
            kept = np.unique(np.linspace(0, len(false_rate) - 1, POINTS_MOST).round().astype(int))
            curves[names[index]] = {
                "false_positive_rate": false_rate[kept].round(6).tolist(),
                "true_positive_rate": true_rate[kept].round(6).tolist(),
            }
    return curves


def _of(values: np.ndarray, positive: int | None, present: np.ndarray) -> float:
    """Return the positive label's value; without one the mean over the labels that rows have."""
    if positive is not None:
        return float(values[positive])
    return float(values[present].mean()) if present.any() else 0.0


def _summing_to_one(scores: np.ndarray) -> np.ndarray:
    """Probabilities that were worked out in float32 sum to 1 but for the last digits, which scikit-learn minds."""
    total: np.ndarray = scores / scores.sum(axis=1, keepdims=True)
    return total
