"""Figures of several labels, held against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score, jaccard_score

from agents.metrics.multi_label import choose_thresholds, given_at_best, set_metric, set_metrics

NAMES = ["a", "b", "c", "d"]
tables = st.integers(1, 30).flatmap(lambda rows: st.tuples(*[arrays(bool, (rows, len(NAMES)))] * 2))


@given(tables)
@settings(max_examples=60)
def test_figures_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    true, found = drawn
    asked = [index for index in range(len(NAMES)) if true[:, index].any() or found[:, index].any()]
    assert set_metric(true, found, "micro_f1") == pytest.approx(f1_score(true, found, average="micro", zero_division=0))
    if asked:
        macro = f1_score(true, found, average="macro", labels=asked, zero_division=0)
        assert set_metric(true, found, "macro_f1") == pytest.approx(macro)
    assert set_metric(true, found, "jaccard") == pytest.approx(
        jaccard_score(true, found, average="samples", zero_division=1.0)
    )
    assert set_metric(true, found, "exact_match") == (true == found).all(axis=1).mean()


@given(tables)
@settings(max_examples=40)
def test_an_answer_that_is_right_has_the_best_figures(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    true, _ = drawn
    figures = set_metrics(true, true, true.astype(float), NAMES)
    assert figures["macro_f1"] == figures["jaccard"] == figures["exact_match"] == 1.0
    assert figures["micro_f1"] == (1.0 if true.any() else 0.0)


def test_thresholds_part_what_a_half_does_not_and_rare_labels_keep_a_half() -> None:
    common = np.arange(20) < 8
    scores = np.column_stack([np.where(common, 0.3, 0.1), np.linspace(0.9, 0.1, 20)])
    true = np.column_stack([common, np.arange(20) < 4])
    found = choose_thresholds(true, scores, ["common", "rare"])
    assert 0.1 < found["common"] < 0.3
    assert found["rare"] == 0.5
    assert set_metric(true[:, :1], given_at_best(true, scores)[:, :1], "micro_f1") == 1.0
