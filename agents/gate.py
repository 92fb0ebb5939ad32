"""The gate: figures in, a verdict with its reasons out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agents.outputs import Verdict

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 1000
#: One-sided: a challenger that is as good passes unless chance alone would rarely make it look so bad.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rules:
    """What a challenger has to show. `margin`: how much worse than the champion still counts as not worse."""

    metric: str
    minimum: float
    margin: float
    recall_floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Challenger:
    """What was measured on the frozen test split."""

    value: float
    recalls: Mapping[str, float]
    leaked: int


@dataclass(frozen=True)
class Comparison:
    """The champion on the same rows; `worst_difference`: lower bound of challenger minus champion."""

    version: int
    value: float
    worst_difference: float
    same_weights: bool


def judge_challenger(rules: Rules, challenger: Challenger, champion: Comparison | None) -> tuple[Verdict, list[str]]:
    """Return the verdict and its reasons, in words a person can act on."""
    figure = f"{rules.metric} {challenger.value:.4f}"
    rejected = []
    if challenger.value < rules.minimum:
        rejected.append(f"{figure} is below the minimum of {rules.minimum:g}.")
    for label, floor in rules.recall_floors.items():
        if challenger.recalls.get(label, 0.0) < floor:
            rejected.append(f"Recall of '{label}' is {challenger.recalls.get(label, 0.0):.4f}, its floor is {floor:g}.")
    if rejected:
        return "REJECT", rejected
    if challenger.leaked:
        return "HOLD", [f"{challenger.leaked} test rows have near twins in training: {figure} can't be trusted."]
    reached = f"{figure} reaches the minimum of {rules.minimum:g}."
    if champion is None:
        return "PROMOTE", [reached, "There is no champion yet."]
    beside = f"champion v{champion.version} has {champion.value:.4f} on the same test rows"
    if champion.same_weights:
        return "HOLD", [reached, f"It has the same weights as champion v{champion.version}."]
    bound = f"with {CONFIDENCE:.0%} confidence it is at most {max(0.0, -champion.worst_difference):.4f} worse"
    if champion.worst_difference >= -rules.margin:
        return "PROMOTE", [reached, f"Not worse: {beside}, and {bound} (margin {rules.margin:g})."]
    return "HOLD", [reached, f"Not shown to be as good: {beside}, and {bound} (margin {rules.margin:g})."]


def worst_difference(
    labels: "np.ndarray", challenger: "np.ndarray", champion: "np.ndarray", metric: str, positive: int, count: int
) -> float:
    """Return the lower confidence bound of the metric's difference, challenger minus champion.

    Paired bootstrap over test rows (Efron and Tibshirani 1993, chapter 16): both models are scored on the same
    resampled rows. All arrays are int64 of shape (rows,): indices of labels below `count`.
    """
    import numpy as np

    draw = np.random.default_rng(0)
    differences = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        rows = draw.integers(0, len(labels), len(labels))
        ours = metric_value(confusion(labels[rows], challenger[rows], count), metric, positive)
        theirs = metric_value(confusion(labels[rows], champion[rows], count), metric, positive)
        differences[number] = ours - theirs
    return float(np.quantile(differences, 1 - CONFIDENCE))


def confusion(labels: "np.ndarray", predicted: "np.ndarray", count: int) -> "np.ndarray":
    """Return how often each true label (row) was predicted as each label (column): int64 of shape (count, count)."""
    import numpy as np

    return np.bincount(labels * count + predicted, minlength=count * count).reshape(count, count)


def metric_value(matrix: "np.ndarray", metric: str, positive: int) -> float:
    """Return a metric of a confusion matrix; of nothing found or nothing there it is 0."""
    import numpy as np

    hits, present, named = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    if metric == "accuracy":
        return float(hits.sum() / max(1, matrix.sum()))
    recall, precision = hits / np.maximum(1, present), hits / np.maximum(1, named)
    f1 = 2 * hits / np.maximum(1, present + named)
    if metric == "macro_f1":
        return float(f1.mean())
    return float({"recall": recall, "precision": precision, "f1": f1}[metric][positive])
