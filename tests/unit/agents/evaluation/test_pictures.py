"""Labels in pictures: by name where a font has all their characters, else by number with a key, never as boxes."""

import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import font_manager

from agents.evaluation.label_names import NAMED_LABELS_MOST, confused_pairs, fonts_for, key_of, label_names
from agents.evaluation.pictures import draw_confusion, draw_roc, rendered


def report(labels: list[str]) -> dict[str, Any]:
    size = range(len(labels))
    curve = {"false_positive_rate": [0.0, 0.5, 1.0], "true_positive_rate": [0.0, 0.9, 1.0]}
    return {
        "labels": labels,
        "confusion": [[3 if i == j else int(j == (i + 1) % len(labels)) for j in size] for i in size],
        "roc": dict.fromkeys(labels[:8], curve),
        "metrics": {"roc_auc": 0.9},
    }


def drawn_without_boxes(labels: list[str]) -> dict[str, bytes]:
    """Draw both pictures; matplotlib warns of each character that no font has."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return rendered(draw_confusion, report(labels)) | {
            f"roc.{form}": content for form, content in rendered(draw_roc, report(labels)).items()
        }


SCRIPTS = [
    ["好评", "差评", "ดี", "แย่"],
    ["👍", "👎", "👨\u200d👩\u200d👧", "❤\ufe0f"],
    ["عاجل", "דחוף", "urgent"],
    ["तत्काल", "긴급", "ខ្មែរ", "\U0001fae8"],
    ["$x$", "a_b^c", "\\frac", "plain"],
    ["a" * 30 + "1", "a" * 30 + "2"],
]


@pytest.mark.parametrize("labels", SCRIPTS)
def test_labels_of_any_script_are_readable_or_numbers_with_a_key(labels: list[str]) -> None:
    drawn_without_boxes(labels)
    names = label_names(labels)
    assert len(set(names.shown)) == len(labels)
    characters = set().union(*map(_characters, names.fonts))
    for number, (label, shown) in enumerate(zip(labels, names.shown, strict=True), start=1):
        if shown == f"#{number}":
            assert f"#{number}\t{label}\n" in key_of(labels, report(labels)["confusion"])
        else:
            assert {ord(character) for character in shown} <= characters


def _characters(family: str) -> set[int]:
    return set(font_manager.get_font(font_manager.findfont(family)).get_charmap())


def test_of_many_labels_the_numbers_have_a_key_that_names_what_is_confused_most() -> None:
    labels = [f"intent_{n}" for n in range(NAMED_LABELS_MOST + 37)]
    assert label_names(labels).shown[:2] == ["#1", "#2"]
    pictures = drawn_without_boxes(labels)
    assert pictures == drawn_without_boxes(labels)
    matrix = report(labels)["confusion"]
    matrix[3][7] = 9
    assert confused_pairs(matrix)[0] == (9, 3, 7)
    assert "\n9\t#4\t#8\n" in key_of(labels, matrix)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=6, unique=True))
def test_what_is_shown_is_always_one_that_a_font_has(labels: list[str]) -> None:
    names = label_names(labels)
    assert fonts_for("".join(names.shown))[1] == set()
    assert len(names.shown) == len(set(names.shown)) == len(labels)
