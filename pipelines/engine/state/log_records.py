"""Records of a job's log: how they are made at the door of the log, and read again whoever wrote them.

What an agent says is made a record once, by `log_record` or `progress_record`; what can't be kept is replaced or cut,
and the record says so under `adjusted`. Reading never fails: an entry that nobody can read is a record that says so.
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from agents.base.identifiers import Cursor
from agents.base.strict_json import RECORD, Bounds, Cleaned, clean, decode, encode, finite_number

LEVELS = ("debug", "info", "warning", "error")
#: What other loggers call the levels.
LEVEL_WORDS = {
    "trace": "debug",
    "notice": "info",
    "warn": "warning",
    "err": "error",
    "exception": "error",
    "critical": "error",
    "fatal": "error",
}
ADJUSTED = "adjusted"
#: The record in place of an entry that can't be read.
UNREADABLE = "record_unreadable"
#: So much of a log one answer holds.
PAGE_MOST_BYTES = 8 << 20
#: Of the name of an event, a node or a level.
WORD = Bounds(500, 500, 1)

Record = dict[str, Any]


def log_record(event: Any, level: Any, fields: Mapping[Any, Any]) -> Record:
    """Return what an agent says as a record that can be kept."""
    known = known_level(level)
    given = {} if known == level else {"level": level}
    return {"kind": "log", "level": known, "event": word(event), "fields": _kept(fields, given)}


def progress_record(done: Any, total: Any, eta_s: float | None, fields: Mapping[Any, Any]) -> Record:
    """Return how far an agent says it is as a record that can be kept; what is not a number is 0."""
    figures = {"done": finite_number(done), "total": finite_number(total), "eta_s": finite_number(eta_s)}
    given = {name: said for name, said in (("done", done), ("total", total)) if figures[name] is None}
    return {**_kept({**fields, **figures, **dict.fromkeys(given, 0)}, given), "kind": "progress"}


def fields_of(record: Record) -> tuple[str, str, str]:
    """Return level, event and fields, as JSON, of a record as an entry of the stream holds them."""
    if record["kind"] == "progress":
        fields = {key: value for key, value in record.items() if key != "kind"}
        return "info", "progress", encode(fields, RECORD).text
    return record["level"], record["event"], encode(record["fields"], RECORD).text


def known_level(level: Any) -> str:
    """Return the level that a word stands for: `warn` is `warning`; one that nobody knows is `info`."""
    name = level.strip().lower() if isinstance(level, str) else ""
    return name if name in LEVELS else LEVEL_WORDS.get(name, "info")


def word(value: Any) -> str:
    """Return a name in a record as text that can be kept."""
    return str(clean(value if isinstance(value, str) else str(value), WORD).value)


def _kept(fields: Mapping[Any, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as they can be kept; `given`: what was said where a figure or a level was meant."""
    return _noted(clean(dict(fields), RECORD), given)


def _noted(found: Cleaned, given: Mapping[str, Any]) -> dict[str, Any]:
    counts = {"replaced": found.replaced, "cut": found.cut}
    notes = {name: count for name, count in counts.items() if count} | {
        name: word(said) for name, said in given.items()
    }
    fields: dict[str, Any] = found.value
    return {**fields, ADJUSTED: notes} if notes else fields


# -- reading ------------------------------------------------------------------------------------


def as_record(stream_id: bytes, entry: Mapping[bytes, bytes]) -> Record:
    """Return an entry of the stream as the record that clients see; one that can't be read as a record that says so."""
    milliseconds, _, number = stream_id.decode().partition("-")
    place = Cursor(int(milliseconds), int(number))
    try:
        level, event, node = (entry[name].decode(errors="replace") for name in (b"level", b"event", b"node"))
        fields = decode(entry[b"fields"], RECORD)
        if not isinstance(fields.value, dict):
            raise ValueError("its fields are not a JSON object")
    except KeyError as fault:
        return unreadable(place, f"it has no '{fault.args[0].decode()}'")
    except ValueError as fault:
        return unreadable(place, str(fault))
    known = known_level(level)
    return _record(place, known, event, node or None, _noted(fields, {} if known == level else {"level": level}))


def archived_record(line: bytes, before: Cursor) -> Record:
    """Return a line of an archive as a record; `before`: the place of the line before it, which one that can't be read
    takes as its own.
    """
    try:
        found = decode(line)
        written = found.value
        place, fields, node = Cursor.parse(written["id"]), written["fields"], written["node"]
        if not isinstance(fields, dict) or not isinstance(node, str | None):
            raise TypeError("its fields are not a JSON object")
        noted = _noted(Cleaned(fields, found.replaced, found.cut), {})
        return _record(place, known_level(written["level"]), word(written["event"]), node, noted)
    except Exception as fault:
        # Whatever an archive that somebody else wrote has in it.
        return unreadable(max(before, Cursor(0, 1)), f"{type(fault).__name__}: {fault}")


def unreadable(place: Cursor, reason: str) -> Record:
    """Return the record in place of one that can't be read."""
    return _record(place, "warning", UNREADABLE, None, {"reason": word(reason)})


def selected(records: Iterable[Record], level: str | None, node: str | None) -> list[Record]:
    """Return the records of at least a level, and of one node; also those that say that one could not be read."""
    least = LEVELS.index(level) if level else 0
    return [
        record
        for record in records
        if record["event"] == UNREADABLE
        or (LEVELS.index(record["level"]) >= least and (node is None or record["node"] == node))
    ]


def fitting(records: list[Record]) -> list[Record]:
    """Return as many of these records, from the first on, as one answer holds: one at least."""
    sizes = accumulate(len(encode(record).text) for record in records)
    return records[: max(1, sum(1 for size in sizes if size <= PAGE_MOST_BYTES))]


def _record(place: Cursor, level: str, event: str, node: str | None, fields: dict[str, Any]) -> Record:
    at = place.milliseconds / 1000
    return {"id": str(place), "at": at, "level": level, "event": event, "node": node, "fields": fields}
