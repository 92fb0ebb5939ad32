"""What a terminal is given: nothing of a text from outside moves, hides or turns what stands beside it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.printable import NEWER_PICTURES, one_line, printable

#: Control characters, format characters (bidi, zero width, tags), surrogates, separators of lines.
HOSTILE = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co"}


@given(st.text(st.characters(), max_size=80))
def test_nothing_invisible_is_left(text: str) -> None:
    left = {unicodedata.category(character) for character in printable(text) if character not in "\n\t"}
    shown = one_line(text)

    assert not left & HOSTILE
    assert not {unicodedata.category(character) for character in shown} & HOSTILE


@given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=80))
def test_what_can_be_seen_stays(text: str) -> None:
    assert printable(text) == one_line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb", r"a\x0db"),
        ("\x08\x7f", r"\x08\x7f"),
        ("ab\u202edc", r"ab\u202edc"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("pay\u200bpal", r"pay\u200bpal"),
        ("\ufeff", r"\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("soft\u00adhyphen", r"soft\xadhyphen"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == one_line(text) == shown


def test_line_breaks_are_for_those_who_want_them() -> None:
    assert printable("a\n\tb") == "a\n\tb"
    assert one_line("a\n\tb") == "a\\n\\tb"


def test_pictures_that_python_does_not_know_yet_stay() -> None:
    assert printable("\U0001fae8 café 東京") == "\U0001fae8 café 東京"
    assert 0x1FAE8 in NEWER_PICTURES
