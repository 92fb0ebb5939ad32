"""An interval contains its own figure, whatever it is and however few the rows; a handful of rows decides nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metrics.bootstrap import (
    Interval,
    difference_interval,
    interval,
    rows_to_decide,
    share_interval,
    worst_difference,
)
from agents.metrics.classification import confusion, metric_size, metric_value
from agents.metrics.generation import score_answers
from agents.metrics.regression import number_metrics

METRICS = ("accuracy", "f1", "macro_f1", "precision", "recall")
TABLES = (
    st.integers(1, 5)
    .flatmap(
        lambda labels: st.lists(
            st.lists(st.integers(0, 4), min_size=labels, max_size=labels), min_size=labels, max_size=labels
        )
    )
    .filter(lambda table: sum(map(sum, table)) > 0)
)


def rows_of(table: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the predicted labels that a confusion table counts."""
    pairs = [(true, said) for true, row in enumerate(table) for said, many in enumerate(row) for _ in range(many)]
    labels, predicted = np.array(pairs, dtype=np.int64).T
    return labels, predicted


def bounds(labels: np.ndarray, predicted: np.ndarray, count: int, metric: str, positive: int | None) -> Interval:
    return interval(
        lambda rows: metric_value(confusion(labels[rows], predicted[rows], count), metric, positive),
        len(labels),
        strata=labels,
        size=metric_size(confusion(labels, predicted, count), metric, positive),
    )


@settings(max_examples=12, deadline=None)
@given(TABLES, st.booleans())
def test_every_figure_of_any_confusion_table_lies_within_its_interval(table: list[list[int]], one: bool) -> None:
    labels, predicted = rows_of(table)
    matrix, positive = confusion(labels, predicted, len(table)), len(table) - 1 if one else None
    for metric in METRICS:
        own, (low, high) = (
            metric_value(matrix, metric, positive),
            bounds(labels, predicted, len(table), metric, positive),
        )
        assert 0 <= low <= own <= high <= 1, metric
        perfect = bounds(labels, labels, len(table), metric, None)
        # All right: that is the figure, and how far it could be chance is told by the rows alone.
        assert perfect.high == metric_value(confusion(labels, labels, len(table)), metric, None) == 1.0
        assert perfect.low < 1.0


@pytest.mark.parametrize(("rows_each", "least"), [(1, 0.97), (2, 0.98), (3, 0.99)])
def test_a_perfect_model_of_many_labels_with_a_row_or_two_each_is_perfect_within_its_interval(
    rows_each: int, least: float
) -> None:
    labels = np.repeat(np.arange(150), rows_each)
    low, high = bounds(labels, labels, 150, "macro_f1", None)

    assert least <= low < high == 1.0


def test_labels_that_no_row_has_take_nothing_from_a_mean_over_labels() -> None:
    labels = np.array([0, 0, 2, 2])

    assert metric_value(confusion(labels, labels, 4), "macro_f1", None) == 1.0
    assert metric_value(confusion(labels, np.array([0, 1, 2, 2]), 4), "macro_f1", None) == pytest.approx(
        (2 / 3 + 1) / 2
    )


def test_the_interval_narrows_with_the_rows_and_a_handful_leaves_it_wide() -> None:
    widths = [share_interval(1.0, rows) for rows in (2, 10, 100, 1000)]

    assert [round(low, 3) for low, _ in widths] == [0.342, 0.722, 0.963, 0.996]
    assert share_interval(0.9, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("share", "rows", "minimum"), [(0.9, 40, 0.85), (1.0, 2, 0.85), (0.96, 68, 0.9), (0.5, 12, 0.4), (0.851, 100, 0.85)]
)
def test_so_many_rows_as_are_said_would_decide_and_hardly_fewer(share: float, rows: int, minimum: float) -> None:
    needed = rows_to_decide(rows, share, share_interval(share, rows).low, minimum)

    assert needed is not None
    assert share_interval(share, needed).low >= minimum
    assert share_interval(share, needed * 0.98).low < minimum


def test_no_number_of_rows_shows_that_a_figure_is_more_than_itself() -> None:
    assert rows_to_decide(100, 0.85, 0.77, 0.85) is None
    assert rows_to_decide(100, 0.8, 0.7, 0.85) is None


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_a_difference_lies_within_its_interval_and_above_its_lower_bound(rows: list[tuple[int, int, int]]) -> None:
    labels, ours, theirs = np.array(rows, dtype=np.int64).T
    for metric in ("accuracy", "macro_f1"):
        sides = [
            lambda chosen, said=said, metric=metric: metric_value(
                confusion(labels[chosen], said[chosen], 3), metric, None
            )
            for said in (ours, theirs)
        ]
        own = sides[0](np.arange(len(rows))) - sides[1](np.arange(len(rows)))
        low, high = difference_interval(*sides, len(rows), strata=labels)
        assert -1 <= low <= own <= high <= 1
        assert worst_difference(*sides, len(rows), strata=labels) <= own


def test_three_rows_that_only_one_model_has_right_of_ten_do_not_show_that_it_is_better() -> None:
    right = np.array([1.0] * 3 + [0.0] * 7)
    some, all_of_many = (
        difference_interval(lambda rows, a=a: float(a[rows].mean()), lambda rows: 0.0, len(a))
        for a in (right, np.tile(right, 10))
    )

    assert some.low < 0 < some.high
    assert all_of_many.low > 0


def test_answers_and_numbers_have_such_intervals_too() -> None:
    scores = score_answers(["a b", '{"x": 1, "y": 2}', "c"], ["a b", '{"x": 1, "y": 3}', "d"])
    for metric in ("exact_match", "slot_f1", "rouge_l"):
        low, high = interval(lambda rows, metric=metric: scores.value(metric, rows), 3)
        assert 0 <= low <= scores.value(metric, np.arange(3)) <= high <= 1
    labels, given_scores = np.arange(12) % 3, np.full((12, 3), 1 / 3)
    error = lambda rows: number_metrics(labels[rows], given_scores[rows], ["1", "2", "30"])["mae"]  # noqa: E731
    low, high = interval(error, 12, share=False)
    assert low < error(np.arange(12)) < high
    assert high > 1
