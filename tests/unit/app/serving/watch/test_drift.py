"""Drift: the index against worked values, the window, and what chance alone makes."""

import random
from typing import Any

import pytest

from agents.formats.manifest import read_manifest
from agents.metrics.reference import histogram, label_reference, number_reference
from agents.metrics.types import Reference
from agents.models.classifiers.base import Prediction
from app.serving.watch.drift import DriftWindow, chance_index, read_reference, stability_index

LABELS = ["ham", "spam"]


def texts_and_answers(count: int, *, spam: float, words: int, seed: int = 1) -> tuple[list[str], list[Prediction]]:
    """Return texts of about so many words, with answers of which such a share is spam."""
    draw = random.Random(seed)
    texts = ["word " * max(1, round(draw.gauss(words, 3))) for _ in range(count)]
    found = []
    for _ in range(count):
        label, confidence = "spam" if draw.random() < spam else "ham", draw.uniform(0.6, 1.0)
        found.append(Prediction(label, confidence, {label: confidence}))
    return texts, found


@pytest.fixture
def reference() -> Reference:
    texts, found = texts_and_answers(400, spam=0.2, words=20)
    rows = [{"predicted": one.label, "confidence": one.confidence} for one in found]
    return label_reference(LABELS, texts, rows)


def test_the_index_is_the_one_worked_by_hand() -> None:
    # (0.5 - 0.2) ln(0.5 / 0.2) + (0.5 - 0.8) ln(0.5 / 0.8) = 0.2749 + 0.1410
    assert stability_index([200_000, 800_000], [500_000, 500_000]) == pytest.approx(0.4159, abs=1e-3)
    assert stability_index([30, 70], [30, 70]) == 0.0


def test_an_empty_bin_makes_the_index_large_but_finite() -> None:
    assert 1.0 < stability_index([100, 100], [200, 0]) < 10.0


def test_a_histogram_has_like_counts_and_fewer_bins_where_values_are_alike() -> None:
    even = histogram([float(value) for value in range(400)])
    assert (len(even.counts), set(even.counts)) == (10, {40})
    assert histogram([1.0] * 300).counts == [300]
    assert sum(histogram([1.0] * 250 + [0.5] * 50).counts) == 300
    assert len(histogram([float(value) for value in range(60)]).counts) == 3
    assert histogram([]).counts == [0]


def test_predictions_like_those_on_the_test_split_are_no_drift(reference: Reference) -> None:
    window = DriftWindow(reference, 1000)
    window.add(*texts_and_answers(1000, spam=0.2, words=20, seed=2))

    assert {signal["drift"] for signal in window.report()["signals"].values()} == {"none"}


def test_each_signal_tells_its_own_drift(reference: Reference) -> None:
    more_spam, longer = DriftWindow(reference, 1000), DriftWindow(reference, 1000)
    more_spam.add(*texts_and_answers(1000, spam=0.7, words=20, seed=2))
    longer.add(*texts_and_answers(1000, spam=0.2, words=40, seed=2))

    drifts = [{name: s["drift"] for name, s in w.report()["signals"].items()} for w in (more_spam, longer)]
    assert drifts == [
        {"labels": "much", "confidence": "none", "length": "none"},
        {"labels": "none", "confidence": "none", "length": "much"},
    ]


def test_confidences_that_differ_in_late_digits_alone_are_no_drift() -> None:
    rows = [
        {"predicted": "ham", "confidence": 0.999} if row % 2 else {"predicted": "ham", "confidence": 0.91}
        for row in range(200)
    ]
    window = DriftWindow(label_reference(LABELS, ["word"] * 200, rows), 200)
    window.add(["word"] * 200, [Prediction("ham", row["confidence"] + 0.0004, {}) for row in rows])

    assert window.report()["signals"]["confidence"]["psi"] == 0.0


def test_the_window_slides_and_says_nothing_of_a_few_predictions(reference: Reference) -> None:
    window = DriftWindow(reference, 200)
    window.add(*texts_and_answers(99, spam=1.0, words=20))
    assert (window.report()["window"], window.report()["signals"]) == (99, {})
    window.add(*texts_and_answers(101, spam=1.0, words=20))
    assert window.report()["signals"]["labels"]["drift"] == "much"
    window.add(*texts_and_answers(200, spam=0.2, words=20))

    assert window.report()["window"] == 200
    assert window.report()["signals"]["labels"]["drift"] == "none"


def test_chance_alone_rarely_passes_its_bound() -> None:
    draw, passed = random.Random(5), 0
    for _ in range(300):
        two = [[0] * 5, [0] * 5]
        for counts, rows in zip(two, (200, 500), strict=True):
            for _ in range(rows):
                counts[draw.randrange(5)] += 1
        passed += stability_index(*two) > chance_index(5, 200, 500)
    assert 3 <= passed <= 30


@pytest.mark.parametrize(
    "damage",
    [{"labels": {"ham": 1}}, {"confidence": {"edges": [0.5], "counts": [1]}}, {"length": {}}],
)
def test_of_a_damaged_or_missing_reference_there_is_no_drift(reference: Reference, damage: dict[str, Any]) -> None:
    def read(written: dict[str, Any] | None) -> Reference | None:
        facts = {"name": "spam", "version": 1, "task": "classification", "max_tokens": 8, "formats": {}, "metrics": {}}
        verdict = {"verdict": "PROMOTE", "reasons": []}
        return read_reference(read_manifest({**facts, **verdict, "labels": LABELS, "reference": written}))

    assert read(reference.model_dump()) == reference
    assert read(None) is None
    assert read({**reference.model_dump(), **damage}) is None


def test_of_numbers_the_numbers_are_watched_in_place_of_labels() -> None:
    draw = random.Random(3)
    texts = ["word " * 20] * 400

    def answers(mean: float) -> list[Prediction]:
        values = [draw.gauss(mean, 1.0) for _ in texts]
        return [Prediction(str(value), 0.0, {"value": value}, value=value) for value in values]

    reference = number_reference("value", texts, [one.value or 0.0 for one in answers(3.0)])
    found = {}
    for mean in (3.0, 5.0):
        window = DriftWindow(reference, 1000)
        window.add(texts, answers(mean))
        found[mean] = {name: signal["drift"] for name, signal in window.report()["signals"].items()}
    assert found == {3.0: {"value": "none", "length": "none"}, 5.0: {"value": "much", "length": "none"}}


def test_of_several_labels_each_that_is_given_counts_and_rows_without_any_are_seen() -> None:
    rows = [{"predicted": ["a", "b"] if number % 2 else [], "confidence": 0.9} for number in range(400)]
    reference = label_reference(["a", "b", "c"], ["word"] * 400, rows)
    assert reference.labels == {"a": 200, "b": 200, "c": 0}
    window = DriftWindow(reference, 1000)
    none = Prediction("", 0.9, {}, labels=())
    window.add(["word"] * 400, [Prediction("a, b", 0.9, {}, labels=("a", "b")), none] * 200)
    report = window.report()
    assert report["window"] == 400
    assert {signal["drift"] for signal in report["signals"].values()} == {"none"}
    window.add(["word"] * 400, [Prediction("c", 0.9, {}, labels=("c",))] * 400)
    assert window.report()["signals"]["labels"]["drift"] == "much"
