"""A session is signed with the key, ends, and ends with the key."""

from hypothesis import given
from hypothesis import strategies as st

from app.door.session import COOKIE, LASTS_S, is_session, session_of, session_value


def test_a_session_lasts_and_ends() -> None:
    value = session_value("key", now=1000.0)

    assert is_session("key", value, now=1000.0 + LASTS_S - 1)
    assert not is_session("key", value, now=1000.0 + LASTS_S)
    assert not is_session("another key", value, now=1000.0)


@given(st.text(max_size=200))
def test_no_text_is_a_session(text: str) -> None:
    assert not is_session("key", text, now=0.0)
    ends_at, _, signature = session_value("key", now=0.0).partition(".")
    assert not is_session("key", f"{int(ends_at) + 1}.{signature}", now=0.0)


@given(st.text(max_size=300))
def test_no_cookies_break_the_reader(text: str) -> None:
    session_of(text)
    assert session_of(f"a=b; {COOKIE}=x.y; c=d") == "x.y"
