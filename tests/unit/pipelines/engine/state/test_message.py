"""A message is data: whatever lies in a queue becomes the message of an attempt or is called foreign."""

import json
import pickle
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engine.state.message import MESSAGE_BYTES_MOST, ForeignMessage, Message, read_message

OURS = {"job": "job_1", "node": "a", "attempt": 1, "agent": "echo", "config": {}, "inputs": []}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def packed(value: Any) -> bytes:
    return zlib.compress(json.dumps(value).encode())


@pytest.mark.parametrize("function", ["app.worker.handle", "os.system", "", None, 7])
def test_the_function_is_not_looked_at(function: object) -> None:
    assert read_message(packed([function, None, [OURS], {}])) == Message(**OURS)
    assert read_message(json.dumps([function, None, [OURS], {}]).encode()) == Message(**OURS)


FOREIGN = {
    "another function": packed(["mails.send", None, ["x"], {}]),
    "with keywords": packed(["app.worker.handle", None, [OURS], {"then": "os.system"}]),
    "of an object": packed(["app.worker.handle", "os", [OURS], {}]),
    "two arguments": packed(["app.worker.handle", None, [OURS, OURS], {}]),
    "a further key": packed(["app.worker.handle", None, [{**OURS, "callback": "os.system"}], {}]),
    "no key": packed(["app.worker.handle", None, [{}], {}]),
    "a job with a colon": packed(["app.worker.handle", None, [{**OURS, "job": "job_1:log"}], {}]),
    "an empty job": packed(["app.worker.handle", None, [{**OURS, "job": ""}], {}]),
    "pickled": zlib.compress(pickle.dumps(("os.system", None, ("true",), {}))),
    "pickled, as it is": pickle.dumps(("os.system", None, ("true",), {})),
    "pickled with protocol 0": zlib.compress(pickle.dumps(("os.system", None, ("true",), {}), protocol=0)),
    "nothing": b"",
    "no call": packed({"job": "job_1"}),
    "an empty call": packed([]),
    "nested": zlib.compress(b"[" * 200_000),
    "a number without end": zlib.compress(b"1" * 100_000),
    "not UTF-8": zlib.compress(b'["\xff\xfe"]'),
    "cut": packed(["app.worker.handle", None, [OURS], {}])[:-20],
    "a bomb": zlib.compress(b" " * (MESSAGE_BYTES_MOST + 1), 9),
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_not_a_message_of_an_attempt_is_foreign(data: bytes) -> None:
    with pytest.raises(ForeignMessage):
        read_message(data)


def test_a_foreign_message_says_what_it_calls_in_few_words() -> None:
    with pytest.raises(ForeignMessage, match=r"^it calls 'os\.system'$"):
        read_message(packed(["os.system", None, ["true"], {}]))
    with pytest.raises(ForeignMessage) as caught:
        read_message(packed(["\x1b]0;" + "x" * 100_000, None, [], {}]))
    assert len(str(caught.value)) < 200
    assert "\x1b" not in str(caught.value)


def said_of(data: bytes) -> str | None:
    """Return what a foreign message is called; None of one of ours."""
    try:
        read_message(data)
    except ForeignMessage as fault:
        return str(fault)
    return None


@given(st.binary() | st.binary().map(zlib.compress) | JSON.map(packed))
def test_anything_is_called_foreign_in_few_words(data: bytes) -> None:
    said = said_of(data)
    assert said is not None
    assert 0 < len(said) < 200


@given(JSON, JSON, JSON, JSON)
def test_calls_of_any_shape_are_foreign(function: Any, instance: Any, arguments: Any, options: Any) -> None:
    with pytest.raises(ForeignMessage):
        read_message(packed([function, instance, arguments, options]))
