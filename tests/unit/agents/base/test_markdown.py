"""Cells of Markdown tables: whatever the text is, it stays on one line and in its cell."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.markdown import cell


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two  blanks\nand a line", "two blanks and a line"),
        ("a|b", "a\\|b"),
        ("ends with \\", "ends with \\\\"),
        ("\\|", "\\\\\\|"),
        ("<script>", "&lt;script>"),
        ("`code`", "\\`code\\`"),
    ],
)
def test_markup_is_shown_as_it_is(text: str, shown: str) -> None:
    assert cell(text) == shown


@given(st.text(alphabet="ab \\|<`\n\t", max_size=40))
def test_no_text_leaves_its_cell(text: str) -> None:
    shown = cell(text)
    assert "\n" not in shown
    assert re.fullmatch(r"(?:\\.|&lt;|[ab ])*", shown)


def test_a_long_text_is_cut_before_it_is_escaped() -> None:
    assert cell("||||", 3) == "\\|\\|…"
    assert cell("abc", 3) == "abc"
