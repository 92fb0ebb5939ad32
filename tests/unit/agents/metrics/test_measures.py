"""Figures of answers beside other definitions of them, and worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from agents.metrics.calibration import (
    calibrate,
    calibration_bins,
    calibration_error,
    fit_temperature,
    tempered,
    unsure_threshold,
)
from agents.metrics.classification import confusion, label_metrics, metric_value, roc_auc, roc_curves
from agents.metrics.generation import answer_metrics, score_answers
from agents.metrics.regression import label_values, number_metrics
from agents.metrics.threshold import ScoredRows, best_threshold, find_threshold


def probabilities(seed: int, rows: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return true labels, and scores that lean towards them."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, count, rows)
    logits = draw.normal(size=(rows, count)) + 1.5 * np.eye(count)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_of_two_labels_the_area_and_the_brier_score_are_those_of_the_positive_one() -> None:
    labels, scores = probabilities(1, 200, 2)
    found = label_metrics(labels, scores.argmax(axis=1), scores, ["ham", "spam"], 1)

    assert found["roc_auc"] == pytest.approx(roc_auc_score(labels, scores[:, 1]))
    assert found["brier"] == pytest.approx(((scores[:, 1] - labels) ** 2).mean())
    assert found["micro_f1"] == pytest.approx(found["accuracy"])


def test_of_several_labels_the_area_is_the_mean_of_one_against_the_rest() -> None:
    labels, scores = probabilities(2, 300, 4)
    found = roc_auc(labels, scores, list("abcd"), 0)

    assert found["roc_auc"] == pytest.approx(roc_auc_score(labels, scores, multi_class="ovr", average="macro"))
    assert set(found) == {"roc_auc", "roc_auc.a", "roc_auc.b", "roc_auc.c", "roc_auc.d"}


def test_a_label_that_no_row_has_gets_no_area_and_breaks_nothing() -> None:
    labels, scores = probabilities(3, 50, 3)
    labels[labels == 2] = 1

    assert "roc_auc.c" not in label_metrics(labels, scores.argmax(axis=1), scores, list("abc"), 0)
    assert roc_auc(np.zeros(5, dtype=int), scores[:5, :2], ["a", "b"], 1) == {}
    assert roc_curves(np.zeros(5, dtype=int), scores[:5, :2], ["a", "b"], 1) == {}


def test_calibration_error_worked_out_by_hand() -> None:
    # Ten answers given with 0.95, eight of them right; ten given with 0.55, all of them right.
    confidence = np.array([0.95] * 10 + [0.55] * 10)
    right = np.array([True] * 8 + [False] * 2 + [True] * 10)
    bins = calibration_bins(right, confidence)

    assert [(one.rows, round(one.accuracy, 6)) for one in bins] == [(10, 1.0), (10, 0.8)]
    assert calibration_error(bins) == pytest.approx(0.5 * 0.45 + 0.5 * 0.15)


def test_the_edges_of_confidence_fall_into_the_outer_bins() -> None:
    bins = calibration_bins(np.array([False, True]), np.array([0.0, 1.0]))

    assert [(one.low, one.high) for one in bins] == [(0.0, 1 / 15), (14 / 15, 1.0)]
    assert calibration_error(bins) == 0.0


def test_the_threshold_is_chosen_by_the_validation_rows_alone() -> None:
    validation = ScoredRows(np.array([False, False, True, True]), np.array([0.05, 0.1, 0.3, 0.4]))
    test = ScoredRows(np.array([False, True]), np.array([0.25, 0.9]))
    found = find_threshold("spam", validation, test)

    assert found.value == pytest.approx(0.2)
    assert (found.validation_f1_at_half, found.validation_f1) == (0.0, 1.0)
    assert found.test == {"accuracy": 0.5, "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}


def test_where_no_threshold_is_better_it_stays_at_a_half() -> None:
    assert best_threshold(ScoredRows(np.array([False, True]), np.array([0.1, 0.9]))) == 0.5


EXPECTED = ['{"what": "milk", "when": "today"}', '{"what": "bread", "when": null}', '{"what": "tea"}']
ANSWERS = ['{"when": "today", "what": "milk"}', '{"what": "bread", "when": "now"}', "tea, please"]


def test_slots_are_counted_over_all_rows_and_keys() -> None:
    scores = score_answers(EXPECTED, ANSWERS)
    found = answer_metrics(EXPECTED, ANSWERS, scores)

    # Right: 3 of 4 answered and of 5 expected.
    assert (found["slot_precision"], found["slot_recall"]) == (3 / 4, 3 / 5)
    assert found["slot_f1"] == pytest.approx(2 * 3 / 9)
    assert found["slot_f1.when"] == pytest.approx(2 * 1 / 4)
    assert found["json_validity"] == pytest.approx(2 / 3)
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert scores.value("slot_f1", np.array([0, 0])) == 1.0
    assert scores.value("exact_match", np.array([0, 1])) == 0.5


def test_words_of_any_script_count_and_plain_answers_have_no_slots() -> None:
    expected, answers = ["купи молоко сегодня", "buy milk"], ["купи молоко", "sell bread"]
    scores = score_answers(expected, answers)
    found = answer_metrics(expected, answers, scores)

    # Two of two words answered, two of three expected.
    assert scores.rouge_l.tolist() == [pytest.approx(0.8), 0.0]
    assert set(found) == {"exact_match", "rouge_l", "bleu"}
    assert answer_metrics(expected, expected, score_answers(expected, expected))["rouge_l"] == 1.0


def test_bleu_of_the_very_answers_is_100() -> None:
    text = ["the cat sat on the mat and looked at the moon"]

    assert answer_metrics(text, text, score_answers(text, text))["bleu"] == pytest.approx(100.0)


def test_labels_that_are_numbers_are_measured_by_how_far_off_they_are() -> None:
    labels, names = np.array([0, 1, 2, 2]), ["1", "2.5", "4"]
    scores = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    found = number_metrics(labels, scores, names)
    assert found["mae"] == pytest.approx(1.5 / 4)
    assert found["rmse"] == pytest.approx(0.75)
    assert found["r2"] == pytest.approx(1 - 1.5**2 / 6.1875)
    assert 0 < found["spearman"] < 1
    halfway = number_metrics(labels, np.full((4, 3), 1 / 3), names)
    assert set(halfway) == {"mae", "rmse"}
    assert halfway["mae"] == pytest.approx((1.5 + 0 + 1.5 + 1.5) / 4)
    assert label_metrics(labels, scores.argmax(axis=1), scores, names, 0).keys() >= found.keys()


@pytest.mark.parametrize("names", [["0", "1"], ["1", "2", "many"], ["1", "2", "nan"]])
def test_labels_that_are_no_numbers_have_no_such_figures(names: list[str]) -> None:
    assert label_values(names) is None
    assert number_metrics(np.array([0]), np.full((1, len(names)), 1 / len(names)), names) == {}


def test_without_a_positive_label_precision_recall_and_f1_are_means_over_labels() -> None:
    draw = np.random.default_rng(5)
    labels, scores = draw.integers(0, 3, 200), draw.dirichlet(np.ones(3), 200)
    predicted = scores.argmax(axis=1)
    found = label_metrics(labels, predicted, scores, list("abc"), None)
    for metric in ("precision", "recall", "f1"):
        each = [found[f"{metric}.{name}"] for name in "abc"]
        assert found[metric] == found[f"macro_{metric}"] == pytest.approx(sum(each) / 3)
        assert metric_value(confusion(labels, predicted, 3), metric, None) == pytest.approx(found[metric])
        assert metric_value(confusion(labels, predicted, 3), metric, 2) == pytest.approx(found[f"{metric}.c"])


def test_a_temperature_makes_a_model_as_sure_as_it_is_right_and_changes_no_label() -> None:
    labels, scores = probabilities(6, 2000, 3)
    sharpened = tempered(scores, 0.4)
    found = calibrate((labels[:1000], sharpened[:1000]), (labels[1000:], sharpened[1000:]))

    assert found is not None
    assert found.ece < 0.5 * found.ece_before
    assert tempered(sharpened, found.temperature).argmax(axis=1).tolist() == scores.argmax(axis=1).tolist()
    assert tempered(sharpened, 2.5) == pytest.approx(scores)
    assert found.accuracy_sure is not None
    assert found.accuracy_sure > (scores[1000:].argmax(axis=1) == labels[1000:]).mean()
    assert calibrate((labels[:19], scores[:19]), (labels, scores)) is None


@pytest.mark.parametrize("rows", [20, 60, 500])
def test_rows_that_are_all_right_make_no_model_sure_without_bounds(rows: int) -> None:
    labels = np.arange(rows) % 2
    scores = np.where(np.eye(2)[labels] == 1, 0.9, 0.1)
    after = tempered(scores, fit_temperature(labels, scores)).max()

    assert 0.9 < after <= (rows + 1) / (rows + 2) + 1e-3


def test_unsure_is_what_costs_less_to_pass_on_than_to_answer() -> None:
    confidence = np.linspace(0.5, 0.99, 50)
    assert unsure_threshold(np.ones(50, dtype=bool), confidence) == 0.5
    assert unsure_threshold(confidence > 0.7, confidence) == pytest.approx(0.71, abs=0.011)
    # Calibrated as it should be, the best threshold is 1 - 0.2.
    many = np.random.default_rng(1).uniform(0.5, 1.0, 2000)
    assert unsure_threshold(np.random.default_rng(2).random(2000) < many, many) == pytest.approx(0.8, abs=0.08)
    assert unsure_threshold(np.ones(30, dtype=bool), np.full(30, 0.97)) == 0.8
    assert unsure_threshold(np.zeros(30, dtype=bool), np.full(30, 0.9)) == 0.95
