"""Figures of models that give a text several labels: label by label, and set by set.

In all of this `true` and `given` are bool of shape (rows, labels), `scores` float64 of that shape: probabilities.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from agents.metrics.f1 import f1_score
from agents.metrics.threshold import HALF, ScoredRows, best_threshold

#: With fewer rows of a label, or without it, a threshold would be chosen by chance; it stays a half.
POSITIVES_LEAST = 5
#: So many validation rows at most are looked at for thresholds: they move little with more.
THRESHOLD_ROWS = 2048


def set_metrics(true: np.ndarray, given: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Return precision, recall and F1 over all decisions (`micro_`), F1 as the mean over labels (`macro_f1`), by sets
    `exact_match` and `jaccard`, the mean area under the ROC curve, and the figures of each label."""
    hits, named, present = _counts(true, given)
    found = {
        "micro_precision": float(hits.sum() / max(1, named.sum())),
        "micro_recall": float(hits.sum() / max(1, present.sum())),
        **{metric: set_metric(true, given, metric) for metric in ("micro_f1", "macro_f1", "exact_match", "jaccard")},
        **_areas(true, scores, names),
    }
    f1 = f1_score(hits, named, present)
    for index, name in enumerate(names):
        found |= {
            f"precision.{name}": float(hits[index] / max(1, named[index])),
            f"recall.{name}": float(hits[index] / max(1, present[index])),
            f"f1.{name}": float(f1[index]),
        }
    return found


def set_metric(true: np.ndarray, given: np.ndarray, metric: str) -> float:
    """Return `micro_f1`, `macro_f1`, `exact_match` (the share of rows with just the right set) or `jaccard` (the mean
    over rows of right labels among all that are right or given; 1 where there are none).

    Labels that no row has and none is given don't count in `macro_f1`: there is nothing to be right or wrong about.
    """
    if metric == "exact_match":
        return float((true == given).all(axis=1).mean())
    if metric == "jaccard":
        both, either = (true & given).sum(axis=1), (true | given).sum(axis=1)
        return float(np.where(either == 0, 1.0, both / np.maximum(1, either)).mean())
    hits, named, present = _counts(true, given)
    if metric == "micro_f1":
        return f1_score(int(hits.sum()), int(named.sum()), int(present.sum()))
    asked = (named + present) > 0
    return float(f1_score(hits, named, present)[asked].mean()) if asked.any() else 1.0


def choose_thresholds(true: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Return label -> the probability from which on it is given, by its best F1 on validation rows.

    Source: Yang, "A Study of Thresholding Strategies for Text Categorization" (2001), SCut.
    """
    return {
        name: best_threshold(ScoredRows(true[:, index], scores[:, index]))
        if POSITIVES_LEAST <= true[:, index].sum() < len(true)
        else HALF
        for index, name in enumerate(names)
    }


def given_at_best(true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return which labels are given where thresholds are chosen on these very rows, as evaluation chooses them on the
    validation split: bool of shape (rows, labels)."""
    rows = np.unique(np.linspace(0, len(true) - 1, THRESHOLD_ROWS).round().astype(int))
    names = [str(label) for label in range(true.shape[1])]
    chosen = choose_thresholds(true[rows], scores[rows], names)
    given: np.ndarray = scores >= np.array([chosen[name] for name in names])
    return given


def _counts(true: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each label how often it is rightly given, given, and there: int64 of shape (labels,)."""
    return (true & given).sum(axis=0), given.sum(axis=0), true.sum(axis=0)


def _areas(true: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Return the area under the ROC curve of each label that some rows have and some lack, and their mean."""
    asked = [index for index in range(len(names)) if 0 < true[:, index].sum() < len(true)]
    each = {f"roc_auc.{names[index]}": float(roc_auc_score(true[:, index], scores[:, index])) for index in asked}
    return {"roc_auc": sum(each.values()) / len(each), **each} if each else {}
