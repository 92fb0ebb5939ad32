"""Readers of JSON lines, JSON documents and plain text."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

from agents.base.errors import InvalidData
from agents.data.files.records import JSON_STRING, Broken, RawRecord, shortened
from agents.data.files.source import Encoding, SourceFile

#: What a value takes that such a character begins or comes before: a list, an object, the next value, a key's value.
VALUE_BYTES = {"[": 96, "{": 240, ",": 64, ":": 64}
#: A line in fastText's form: `__label__spam free entry ...`.
LABELLED_LINE = re.compile(r"__label__(\S+)\s+(.*)")


def read_json_lines(source: SourceFile, encoding: Encoding) -> Iterator[RawRecord | Broken]:
    """Yield one record a line; a line that is not a JSON object is broken."""
    for number, line in source.lines(encoding, newline=None):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=object_once)
        except json.JSONDecodeError as fault:
            yield Broken(number, "invalid_json", f"column {fault.colno}: {fault.msg}")
            continue
        except _KeyTwice as fault:
            yield Broken(number, "key_twice", str(fault))
            continue
        except (ValueError, RecursionError) as fault:
            yield Broken(number, "invalid_json", str(fault))
            continue
        yield _record(source, number, value, len(line))


def _record(source: SourceFile, number: int, value: Any, characters: int = 0) -> RawRecord | Broken:
    if not isinstance(value, dict):
        return Broken(number, "no_json_object", f"{_json_type(value)}, not an object")
    if len(value) > source.budget.columns:
        return Broken(number, "too_many_columns", f"{len(value):,} columns, more than {source.budget.columns:,}")
    return RawRecord(number, value, characters)


def read_json_document(source: SourceFile, encoding: Encoding) -> Iterator[RawRecord | Broken]:
    """Yield the rows of one JSON document, numbered from 1. The document is held in memory whole.

    It is a list of objects, an object with such a list in it, or an object of columns.

    Raises:
        InvalidData: it is not JSON (with line and column), has none of these forms, or takes more memory than it may.
    """
    with source.open_text(encoding, newline=None) as text:
        document = _document_text(source, text)
        try:
            rows = _rows_of(source, json.loads(document, object_pairs_hook=object_once))
        except json.JSONDecodeError as fault:
            raise InvalidData(
                f"'{source.name}', line {fault.lineno}, column {fault.colno}: {fault.msg}.",
                cure="Fix the JSON, or write one object a line (JSON lines).",
            ) from fault
        except (ValueError, RecursionError) as fault:
            raise InvalidData(f"'{source.name}' can't be read as JSON: {fault}.", cure="Write JSON lines.") from fault
    for number, value in enumerate(rows, start=1):
        yield _record(source, number, value)


def _document_text(source: SourceFile, text: IO[str]) -> str:
    """Return the text of a JSON document that fits into memory together with the values made of it."""
    allowed = source.budget.memory_mib << 20
    most = source.budget.unpacked_bytes(source.size_bytes) if source.packed else source.size_bytes
    # All at once is quicker than up to a number of characters.
    document = text.read(-1 if most <= allowed // 2 else allowed // 2)
    # Overcounts where texts hold such characters: only then they are left out.
    if text.read(1) or (
        len(document) + _values_bytes(document) > allowed
        and len(document) + _values_bytes(JSON_STRING.sub('""', document)) > allowed
    ):
        raise InvalidData(
            f"'{source.name}' needs more than {source.budget.memory_mib:,} MiB of memory as one JSON document.",
            cure="Write one object a line (JSON lines), which is read row by row, or raise "
            f"{source.budget.memory_setting}.",
        )
    return document


def _values_bytes(text: str) -> int:
    """Return what the values of a JSON text take in memory at most, beside the characters in it."""
    return sum(text.count(character) * size for character, size in VALUE_BYTES.items())


def read_text(source: SourceFile, encoding: Encoding) -> Iterator[RawRecord | Broken]:
    """Yield one record a line: column `text`, and `label` where the line starts with `__label__`."""
    for number, line in source.lines(encoding):
        stripped = line.rstrip("\r\n")
        if labelled := LABELLED_LINE.fullmatch(stripped):
            yield RawRecord(number, {"text": labelled[2], "label": labelled[1]}, len(line))
        elif stripped.strip():
            yield RawRecord(number, {"text": stripped}, len(line))


class _KeyTwice(ValueError):
    """An object has a key twice: which of the values is meant is not known."""


def object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, for `object_pairs_hook`.

    Raises:
        ValueError: a key is there twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _KeyTwice(f"the key '{shortened(twice)}' is there twice")
    return found


def _json_type(value: Any) -> str:
    """Name the type of a JSON value as JSON does."""
    words = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return words.get(type(value), "a number")


def _rows_of(source: SourceFile, document: Any) -> list[Any]:
    if isinstance(document, list):
        return document
    columns = document if isinstance(document, dict) else {}
    for value in columns.values():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return value
    cells = [list(value.values()) if isinstance(value, dict) else value for value in columns.values()]
    if cells and all(isinstance(value, list) and len(value) == len(cells[0]) for value in cells):
        return [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]
    raise InvalidData(
        f"'{source.name}' holds {_json_type(document)} without a list of rows.",
        cure="Write a list of objects, or one object a line (JSON lines).",
    )
