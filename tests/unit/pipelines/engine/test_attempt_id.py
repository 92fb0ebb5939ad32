"""Ids of attempts: what is made of one is read back as the same one, and nothing else is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engine.attempt_id import AttemptId, NamedAttemptId

JOBS = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)
NUMBERS = st.integers(0, 10**6)
NAMES = st.text(max_size=60) | st.text(alphabet="|-_:/. \n\0a1", max_size=1000)


@given(JOBS, NUMBERS, NUMBERS)
def test_an_id_comes_back_from_its_key(job: str, node: int, attempt: int) -> None:
    found = AttemptId(job, node, attempt)

    assert AttemptId.parse(found.key()) == found
    assert NamedAttemptId.parse(found.key()) is None


@given(NAMES | st.from_regex(r"[a-z_-]*-[0-9]*-[0-9]*", fullmatch=True))
def test_any_other_text_is_refused_or_is_the_key_of_what_it_gives(text: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9_-]+-(0|[1-9]\d*)-(0|[1-9]\d*)", text, re.ASCII):
        assert AttemptId.parse(text).key() == text
    else:
        with pytest.raises(ValueError, match="is not the id of an attempt"):
            AttemptId.parse(text)


@given(JOBS, NAMES, NUMBERS)
def test_what_an_older_release_wrote_is_cut_whatever_the_name_has_in_it(job: str, name: str, attempt: int) -> None:
    text = f"{job}|{name}|{attempt}"

    assert NamedAttemptId.parse(text) == NamedAttemptId(job, name, attempt)
    with pytest.raises(ValueError, match="is not the id"):
        AttemptId.parse(text)


@pytest.mark.parametrize("parts", [("a|b", 0, 1), ("", 0, 1), ("job\n", 0, 1), ("job", -1, 1), ("job", 0, -1)])
def test_what_can_not_be_read_back_is_no_attempt(parts: tuple[str, int, int]) -> None:
    with pytest.raises(ValueError, match="is not an attempt"):
        AttemptId(*parts)
