"""Outputs of heads as answers: one label, several or a number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.models.classifiers.base import prediction_of
from agents.models.classifiers.scores import scores_of
from agents.models.heads import PROBLEM_TYPES, Head, Outputs

LABELS = ["a", "b", "c"]
logits = arrays(np.float32, (4, 3), elements=st.floats(-1e4, 1e4, width=32))


@given(logits)
def test_logits_become_probabilities_without_overflow(drawn: np.ndarray) -> None:
    with np.errstate(over="raise", invalid="raise"):
        one, several = (np.array(scores_of(outputs, drawn)) for outputs in ("label", "labels"))
    assert one.sum(axis=1) == pytest.approx(np.ones(4))
    assert ((several >= 0) & (several <= 1)).all()
    assert (np.array(scores_of("number", drawn)) == drawn).all()


def test_several_labels_are_given_from_their_thresholds_on() -> None:
    head = Head(outputs="labels", thresholds={"a": 0.2, "b": 0.9})
    found = prediction_of(LABELS, [0.3, 0.8, 0.6], head)
    assert (found.labels, found.label, found.confidence) == (("a", "c"), "a, c", 0.3)
    assert found.counted == ("a", "c")
    none = prediction_of(LABELS, [0.1, 0.8, 0.4], head)
    assert (none.labels, none.label, none.counted) == ((), "", ())
    assert none.confidence == pytest.approx(0.2)


def test_a_number_is_told_as_it_is_and_counted_under_one_name() -> None:
    found = prediction_of(["value"], [1234.5678], Head(outputs="number"))
    assert (found.value, found.label, found.confidence, found.counted) == (1234.5678, "1234.57", 0.0, ("value",))
    assert found.as_record() == {
        "label": "1234.57",
        "confidence": 0.0,
        "scores": {"value": 1234.5678},
        "value": 1234.5678,
    }
    assert not prediction_of(["value"], [float("nan")], Head(outputs="number")).is_finite


def test_one_label_says_no_more_than_it_did() -> None:
    found = prediction_of(LABELS, [0.1, 0.7, 0.2], Head())
    assert found.as_record() == {"label": "b", "confidence": 0.7, "scores": {"a": 0.1, "b": 0.7, "c": 0.2}}


@pytest.mark.parametrize("outputs", PROBLEM_TYPES)
def test_every_kind_of_head_has_a_name_that_transformers_knows(outputs: Outputs) -> None:
    known = {"single_label_classification", "multi_label_classification", "regression"}
    assert Head(outputs=outputs).problem_type in known
