"""Records of a log: whatever an agent says is kept, and whatever a stream or an archive holds is read."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.identifiers import Cursor
from agents.base.strict_json import RECORD
from app.api.schemas.logs import LogRecord
from app.schemas import Progress
from pipelines.engine.state.log_records import (
    LEVELS,
    UNREADABLE,
    archived_record,
    as_record,
    fields_of,
    log_record,
    progress_record,
    selected,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=9),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(st.characters()), below, max_size=4),
    max_leaves=10,
)
FIELDS = st.dictionaries(st.text(st.characters(), max_size=12), ANYTHING, max_size=6)
ID = b"1767225600250-3"


def shown(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record as the API answers with it."""
    found: dict[str, Any] = json.loads(LogRecord.model_validate(record).model_dump_json())
    return found


def kept(record: dict[str, Any], node: str = "training") -> dict[str, Any]:
    """Return a record as it is read again from the stream."""
    level, event, fields = fields_of(record)
    texts = {b"level": level, b"event": event, b"node": node, b"fields": fields}
    return as_record(ID, {name: text.encode() for name, text in texts.items()})


@given(ANYTHING, ANYTHING, FIELDS)
def test_whatever_an_agent_says_is_kept_and_shown(event: Any, level: Any, fields: dict[str, Any]) -> None:
    record = log_record(event, level, fields)
    found = kept(record)

    assert record["level"] in LEVELS
    assert shown(found) == found
    assert found["fields"] == record["fields"]
    assert len(json.dumps(found)) < 13 * RECORD.characters


@given(ANYTHING, ANYTHING, st.none() | st.floats(), FIELDS)
def test_whatever_progress_an_agent_claims_is_kept_and_shown(
    done: Any, total: Any, eta_s: float | None, fields: dict[str, Any]
) -> None:
    found = kept(progress_record(done, total, eta_s, fields))
    progress = json.loads(Progress.model_validate(found["fields"]).model_dump_json())

    assert all(math.isfinite(progress[name]) for name in ("done", "total"))
    assert shown(found) == found


@pytest.mark.parametrize(
    ("level", "known"),
    [
        ("warn", "warning"),
        ("WARNING", "warning"),
        ("fatal", "error"),
        ("trace", "debug"),
        ("loud", "info"),
        (3, "info"),
    ],
)
def test_levels_of_others_are_known_and_the_given_one_is_said(level: Any, known: str) -> None:
    record = log_record("said", level, {"a": 1})

    assert record == {
        "kind": "log",
        "level": known,
        "event": "said",
        "fields": {"a": 1, "adjusted": {"level": str(level)}},
    }


def test_what_was_done_to_a_record_is_counted() -> None:
    record = log_record("said", "info", {"loss": math.nan, "text": "\ud800", "long": "x" * 100_000})

    assert record["fields"]["adjusted"] == {"replaced": 2, "cut": 1}
    assert (record["fields"]["loss"], record["fields"]["text"]) == ("NaN", "\ufffd")


def test_a_record_that_is_fine_says_nothing_of_it() -> None:
    fields = {"rows": 3, "why": "zwölf 🎉"}

    assert log_record("said", "info", fields)["fields"] == fields


ENTRIES: dict[str, dict[bytes, bytes]] = {
    "nothing": {},
    "no fields": {b"level": b"info", b"event": b"x", b"node": b""},
    "no event": {b"level": b"info", b"node": b"", b"fields": b"{}"},
    "fields not JSON": {b"level": b"info", b"event": b"x", b"node": b"", b"fields": b"{"},
    "fields not UTF-8": {b"level": b"info", b"event": b"x", b"node": b"", b"fields": b'{"a": "\xff"}'},
    "fields a list": {b"level": b"info", b"event": b"x", b"node": b"", b"fields": b"[1]"},
    "fields too deep": {b"level": b"info", b"event": b"x", b"node": b"", b"fields": b"[" * 100_000},
    "a number of 5,000 digits": {b"level": b"info", b"event": b"x", b"node": b"", b"fields": b"1" * 5000},
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_an_entry_that_can_not_be_read_is_a_record_that_says_so(kind: str) -> None:
    found = as_record(ID, ENTRIES[kind])

    assert (found["id"], found["level"], found["event"]) == (ID.decode(), "warning", UNREADABLE)
    assert found["fields"]["reason"]
    assert shown(found) == found
    assert selected([found], "error", "training") == [found]


def test_what_a_release_before_wrote_is_read_with_what_was_done_to_it() -> None:
    fields = json.dumps({"loss": math.nan, "text": "\ud800"}).encode()
    found = as_record(ID, {b"level": b"warn", b"event": b"x\xff", b"node": b"", b"fields": fields})

    assert found["fields"] == {"loss": "NaN", "text": "\ufffd", "adjusted": {"replaced": 2, "level": "warn"}}
    assert (found["level"], found["event"], found["node"]) == ("warning", "x\ufffd", None)


@given(st.dictionaries(st.sampled_from([b"level", b"event", b"node", b"fields", b"more"]), st.binary(max_size=60)))
def test_any_entry_of_the_stream_is_a_record(entry: dict[bytes, bytes]) -> None:
    found = as_record(ID, entry)

    assert shown(found) == found
    assert found["level"] in LEVELS


@given(st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value, default=repr).encode()))
def test_any_line_of_an_archive_is_a_record(line: bytes) -> None:
    found = archived_record(line, Cursor(5, 1))

    assert shown(found) == found


def test_a_line_that_can_not_be_read_hides_none_after_it() -> None:
    good = {"id": "5-2", "at": 0.005, "level": "info", "event": "x", "node": None, "fields": {}}
    bad = archived_record(b"{", Cursor(5, 1))

    assert bad["id"] == "5-1"
    assert Cursor.parse(bad["id"]) < Cursor.parse(archived_record(json.dumps(good).encode(), Cursor(5, 1))["id"])
