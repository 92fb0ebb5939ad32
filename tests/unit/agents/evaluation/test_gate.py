"""The gate as a table, and its bootstrap beside scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from agents.evaluation.gate import Challenger, Comparison, Incomparable, Measurement, Rules, judge_challenger
from agents.metrics.bootstrap import Statistic, difference_interval, interval, share_interval, worst_difference
from agents.metrics.classification import confusion, metric_value

RULES = Rules("f1", 0.85, 0.01)
FLOOR = Rules("f1", 0.85, 0.01, {"spam": 0.9})
CONTRADICTION = "accuracy was 1.0000 on 20 validation rows and is 0.9000 on 1000 test rows."


INCOMPARABLE = Incomparable(3, "its labels are a, b.")


def challenger(
    value: float = 0.9,
    leaked: int = 0,
    rows: int = 1000,
    spam: tuple[float, int] = (0.8, 500),
    warnings: tuple[str, ...] = (),
) -> Challenger:
    recall, of_label = spam
    figure = Measurement(value, share_interval(value, rows).low, rows)
    recalls = {"spam": Measurement(recall, share_interval(recall, of_label).low, of_label)}
    return Challenger(figure, recalls, leaked, warnings)


def champion(worst: float, *, same: bool = False) -> Comparison:
    return Comparison(3, 0.91, worst, same)


@pytest.mark.parametrize(
    ("rules", "ours", "theirs", "verdict", "words"),
    [
        (
            RULES,
            challenger(),
            None,
            "PROMOTE",
            "f1 0.9000 reaches the minimum of 0.85: 1000 test rows show it to be at least 0.87",
        ),
        (RULES, challenger(), None, "PROMOTE", "no champion yet"),
        (RULES, challenger(0.84), None, "REJECT", "f1 0.8400 is below the minimum of 0.85"),
        (RULES, challenger(math.nan), None, "REJECT", "f1 nan is below the minimum of 0.85"),
        (RULES, challenger(0.85), None, "HOLD", "It is the minimum itself, which no number of rows shows"),
        (RULES, challenger(0.9, rows=40), None, "HOLD", "could be as low as 0.7695; the minimum is 0.85."),
        (RULES, challenger(0.9, rows=40), None, "HOLD", "196 test rows would decide. Give more rows"),
        (RULES, challenger(1.0, rows=2), None, "HOLD", "2 test rows are too few to judge by: 5 are the least"),
        (Rules("f1", 0.0, 0.01), challenger(1.0, rows=2), None, "HOLD", "2 test rows are too few"),
        (RULES, challenger(1.0, rows=15), champion(0.1), "HOLD", "22 test rows would decide"),
        (RULES, challenger(leaked=2), None, "HOLD", "2 test rows have near twins"),
        (RULES, challenger(warnings=(CONTRADICTION,)), None, "HOLD", CONTRADICTION),
        (RULES, challenger(0.2, warnings=(CONTRADICTION,)), None, "REJECT", CONTRADICTION),
        (RULES, challenger(), champion(-0.01), "PROMOTE", "Not worse: champion v3 has 0.9100"),
        (RULES, challenger(), champion(-0.19), "HOLD", "it could be up to 0.1900 worse; at most 0.01 is allowed"),
        (RULES, challenger(), champion(0.0, same=True), "HOLD", "same weights as champion v3"),
        (RULES, challenger(0.5), champion(0.1), "REJECT", "below the minimum"),
        (
            RULES,
            challenger(),
            INCOMPARABLE,
            "HOLD",
            "champion v3: its labels are a, b. Export under",
        ),
        (RULES, challenger(0.5), INCOMPARABLE, "REJECT", "below the minimum"),
        (FLOOR, challenger(), None, "REJECT", "Recall of 'spam' is 0.8000"),
        (
            FLOOR,
            challenger(spam=(1.0, 4)),
            None,
            "HOLD",
            "Recall 1.0000 of 'spam' on 4 test rows of 'spam' could be as low",
        ),
        (FLOOR, challenger(spam=(0.0, 0)), None, "HOLD", "No test row has the label 'spam'"),
        (FLOOR, challenger(spam=(1.0, 500)), None, "PROMOTE", "no champion yet"),
    ],
)
def test_verdicts(
    rules: Rules, ours: Challenger, theirs: Comparison | Incomparable | None, verdict: str, words: str
) -> None:
    found, reasons = judge_challenger(rules, ours, theirs)

    assert found == verdict
    assert words in " ".join(reasons)


def rows(seed: int, flips: float, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    return labels, np.where(draw.random(count) < flips, 1 - labels, labels)


def f1(labels: np.ndarray, predicted: np.ndarray) -> Statistic:
    return lambda chosen: metric_value(confusion(labels[chosen], predicted[chosen], 2), "f1", 1)


def test_a_model_beside_itself_is_never_worse() -> None:
    figure = f1(*rows(1, 0.1))

    assert worst_difference(figure, figure, 400) == 0.0
    assert difference_interval(figure, figure, 400) == (0.0, 0.0)


def test_a_clearly_worse_model_is_seen_and_a_clearly_better_one_too() -> None:
    good, bad = f1(*rows(1, 0.05)), f1(*rows(1, 0.3))

    assert worst_difference(bad, good, 400) < -0.15
    assert worst_difference(good, bad, 400) > 0.1
    assert difference_interval(good, bad, 400).low > 0.1


def test_the_interval_of_a_share_is_that_of_the_binomial_distribution() -> None:
    right = np.arange(1000) < 900
    low, high = interval(lambda chosen: float(right[chosen].mean()), 1000)

    # 1.96 standard errors of sqrt(0.9 * 0.1 / 1000).
    assert (low, high) == (pytest.approx(0.9 - 0.0186, abs=0.003), pytest.approx(0.9 + 0.0186, abs=0.003))


def test_metrics_are_those_of_scikit_learn() -> None:
    labels, predicted = rows(2, 0.2)
    matrix = confusion(labels, predicted, 2)

    assert metric_value(matrix, "accuracy", 1) == pytest.approx(accuracy_score(labels, predicted))
    assert metric_value(matrix, "f1", 1) == pytest.approx(f1_score(labels, predicted))
    assert metric_value(matrix, "macro_f1", 1) == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert metric_value(matrix, "precision", 0) == pytest.approx(precision_score(labels, predicted, pos_label=0))
    assert metric_value(matrix, "recall", 0) == pytest.approx(recall_score(labels, predicted, pos_label=0))


def test_a_label_nobody_has_or_names_scores_zero() -> None:
    matrix = confusion(np.array([0, 0]), np.array([0, 0]), 2)

    assert [metric_value(matrix, metric, 1) for metric in ("f1", "precision", "recall")] == [0.0, 0.0, 0.0]
