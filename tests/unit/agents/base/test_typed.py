"""What is typed at a shell is read as it was meant."""

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.base.typed import as_typed
from app.cli.options import parse_param


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@example("what they wrote")
@example("yes")
@example("2024")
@example("1e5")
@example("a: b # c")
@example('it\'s "so"')
@example("2024-01-02")
def test_a_text_comes_back_whole(value: str) -> None:
    dash, typed = shlex.split(as_typed("text_column", value))

    assert (dash, parse_param(typed)) == ("-p", ("text_column", value))


@pytest.mark.parametrize(
    ("value", "typed"), [("text", "-p text_column=text"), ("what they wrote", "-p 'text_column=what they wrote'")]
)
def test_plain_names_stay_plain(value: str, typed: str) -> None:
    assert as_typed("text_column", value) == typed
