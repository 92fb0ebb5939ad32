"""Markdown: whatever a text is made of, it is shown as it is, on one line, and in its cell."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from agents.base.markdown import cell, code, one_line, table, text

ANY_TEXT = st.text(
    st.sampled_from("ab1 .)(\\|<>&;#`*_[]!{}~$@:/=+-\n\t\x00\u2028\u202e") | st.characters(), max_size=40
)
RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ATTACKS = [
    *("`", "``", "a`b", "` `", "\n# heading", "# heading", "<script>alert(1)</script>", "<!--", "&lt;b&gt;", "&#60;b>"),
    *("[x](javascript:alert(1))", "![x](http://evil/x.png)", "http://evil.example", "www.evil.example", "[x]: /url"),
    *(
        "**bold**",
        "__bold__",
        "_x_",
        "~~gone~~",
        "~~~",
        "- item",
        "+ item",
        "* item",
        "1. item",
        "12) item",
        "---",
        "===",
    ),
    *("> quoted", "| a | b |", "a\\", "\\|", "\\`", "$x$", "@someone", "<img src=x onerror=alert(1)>", "<http://evil>"),
    *("\u2028# x", "a\r\n\r\n## b", "``` \nx\n```", "    code", "\x00", "\u202egnp.exe", "{{ x }}", "{% x %}"),
]


def leaves(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from leaves(token.children) if token.children else [token]


def shown(page: str) -> tuple[set[str], str]:
    """Return the kinds of tokens of a rendered page, and its text."""
    found = list(leaves(RENDERER.parse(page)))
    return {token.type for token in found}, "".join(token.content for token in found)


@pytest.mark.parametrize(
    ("given", "escaped"),
    [
        ("two  blanks\nand a line", "two blanks and a line"),
        ("a|b", "a\\|b"),
        ("ends with \\", "ends with \\\\"),
        ("\\|", "\\\\\\|"),
        ("<script>", "&lt;script&gt;"),
        ("`code`", "\\`code\\`"),
        ("learning_rate", "learning_rate"),
    ],
)
def test_markup_is_shown_as_it_is(given: str, escaped: str) -> None:
    assert cell(given) == escaped


@given(ANY_TEXT)
def test_any_text_is_text_where_a_block_begins_and_within_a_line(value: str) -> None:
    for page in (text(value), f"- {text(value)}", f"# {text(value)}", f"**Stops:** {text(value)}"):
        kinds, found = shown(page)
        assert kinds <= {
            *("text", "paragraph_open", "paragraph_close", "heading_open", "heading_close", "strong_open"),
            *("strong_close", "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close", "inline"),
            "text_special",
        }
        assert one_line(value) in found


@pytest.mark.parametrize("value", ATTACKS, ids=ascii)
def test_no_attack_becomes_markup_html_or_a_link(value: str) -> None:
    kinds, found = shown(text(value))
    assert kinds <= {"paragraph_open", "text", "text_special", "paragraph_close", "inline"}
    assert found == one_line(value)
    assert "<" not in text(value)
    assert not re.search(r"(?<!\\)://|(?i:\bwww\.)", text(value))


@given(st.lists(ANY_TEXT, min_size=3, max_size=3))
def test_no_text_leaves_its_cell(values: list[str]) -> None:
    page = table(["a", "b", "c"], [[cell(value) for value in values]])
    kinds, found = shown(page)
    assert len(page.splitlines()) == 3
    assert not kinds & {"code_inline", "html_inline", "link_open", "em_open", "strong_open", "image", "s_open"}
    assert found == "abc" + "".join(one_line(value) for value in values)


@given(ANY_TEXT)
def test_any_text_is_code_within_a_line(value: str) -> None:
    kinds, found = shown(f"into {code(value)}.")
    assert kinds <= {"paragraph_open", "text", "text_special", "code_inline", "paragraph_close"}
    assert found == f"into {one_line(value)}."


def test_a_long_text_is_cut_before_it_is_escaped() -> None:
    assert cell("||||", 3) == "\\|\\|…"
    assert cell("abc", 3) == "abc"
