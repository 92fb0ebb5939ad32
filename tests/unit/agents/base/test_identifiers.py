"""Cursors, versions and ids from outside: one parser each, which takes what it makes and refuses the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.errors import InvalidRequest
from agents.base.identifiers import CURSOR_MOST, Cursor, is_job_id, is_name, parse_version

NUMBERS = st.integers(0, CURSOR_MOST)
#: Digits of other scripts, signs, separators: what Python's `int` takes and no store does.
ODD = st.text(st.sampled_from("0123456789\u0661\u0662\u00b2\u00bd\u2167\uff10\u0967_+-. eExX\n\0$><*:"), max_size=30)


@given(NUMBERS, NUMBERS)
def test_a_cursor_reads_what_it_writes(milliseconds: int, number: int) -> None:
    cursor = Cursor(milliseconds, number)

    assert Cursor.parse(str(cursor)) == cursor
    assert Cursor.parse(str(milliseconds)) == Cursor(milliseconds, 0)


@given(st.text(max_size=40) | ODD)
def test_any_text_is_a_cursor_of_plain_digits_or_refused(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except InvalidRequest:
        return
    assert set(text) <= set("0123456789-")
    assert max(cursor.milliseconds, cursor.number) <= CURSOR_MOST


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "+", "$", ">", "*", "5-", "-5", "5--5", "5-5-5", "1_000-0", "١٢", "²", "0x10-0", " 5-0", "5-0\n"),
        *("5-0\0", "1e3-0", "1.5-0", "(5-0", str(2**64), str(2**70), f"0-{2**64}", "1" * 25, "1" * 6000, "\ud800"),
    ],
)
def test_no_cursors(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"is not a cursor\. Use the id of a record") as caught:
        Cursor.parse(text)

    assert len(str(caught.value)) < 300


def test_cursors_are_ordered_as_the_stream_is() -> None:
    places = ["0", "0-1", "5-2", "5-10", "10-0"]

    assert sorted(places, key=Cursor.parse) == places


@given(st.integers(1, 999_999_999))
def test_a_version_is_its_number_with_or_without_a_v(number: int) -> None:
    assert parse_version(str(number)) == parse_version(f"v{number}") == number


@given(st.text(max_size=40) | ODD)
def test_any_text_is_a_version_an_alias_or_refused(text: str) -> None:
    try:
        found = parse_version(text)
    except InvalidRequest:
        return
    assert text.isascii()
    assert found == text if isinstance(found, str) else 0 < found < 10**9


@pytest.mark.parametrize("text", ["champion", "previous", "latest", "v", "v0", "release-2", "v3x"])
def test_what_may_be_an_alias_is_left_to_the_registry(text: str) -> None:
    assert parse_version(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "²", "٣", "v²", "0", "03", "-1", "+1", "1.0", "1_0", "9" * 5000, "a/b", "..", "a\0", " 1", "\ud800"],
)
def test_no_versions(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"is not a version\. Write its number"):
        parse_version(text)


@given(st.text(max_size=120))
def test_ids_and_names_have_nothing_in_them_that_keys_are_made_with(text: str) -> None:
    if is_job_id(text) or is_name(text):
        assert text.isascii()
        assert not set(text) & set(":/.{}*?[]\0\n \\|")


@pytest.mark.parametrize("text", ["", "job_1:log", "job_1:plan", "a/b", "job_1\n", "job\0", "x" * 101, "jöb", "*"])
def test_no_ids_of_jobs(text: str) -> None:
    assert not is_job_id(text)
