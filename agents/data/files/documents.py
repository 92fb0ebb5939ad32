"""Readers of JSON lines, JSON documents and plain text."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import yaml

from agents.base.errors import InvalidData, first_line
from agents.data.files.forms import form_of, rows_of
from agents.data.files.lines import LineForm
from agents.data.files.nested import KNOWN_NAMES, Lists, Rows, find_lists, json_type
from agents.data.files.records import JSON_STRING, Broken, Format, RawRecord, as_text, shortened
from agents.data.files.source import Encoding, SourceFile
from agents.data.files.splits import SplitName
from agents.data.files.tables import columns_of_cells

#: What a value takes that such a character begins or comes before: a list, an object, the next value, a key's value.
VALUE_BYTES = {"[": 96, "{": 240, ",": 64, ":": 64}
#: What a character of YAML takes in memory at most while it is read.
YAML_BYTES = 64
BLANKS = re.compile(r"[ \t\n\r\x1e]*")
SAMPLE_ROWS = 200


@dataclass(frozen=True)
class Document:
    """A document that was read. `form`: the known form that it has; `parts`: the lists that its rows are in, with
    their splits; `left_out`: other lists -> why they are not."""

    records: Iterator[RawRecord | Broken]
    has_header: bool = True
    form: str | None = None
    parts: Mapping[str, SplitName | None] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


def read_json_lines(source: SourceFile, encoding: Encoding) -> Iterator[RawRecord | Broken]:
    """Yield one record a line; a line that is not a JSON object is broken."""
    # One for all lines: making one takes longer than a short line does.
    decode = json.JSONDecoder(object_pairs_hook=object_once).decode
    for number, line in source.lines(encoding, newline=None):
        if not line.strip():
            continue
        try:
            value = decode(line)
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
        return Broken(number, "no_json_object", f"{json_type(value)}, not an object")
    if len(value) > source.budget.columns:
        return Broken(number, "too_many_columns", f"{len(value):,} columns, more than {source.budget.columns:,}")
    return RawRecord(number, value, characters)


def open_document(source: SourceFile, encoding: Encoding, form: Format, wanted: set[str], part: str | None) -> Document:
    """Return the rows of one JSON or YAML document, numbered from 1. The document is held in memory whole.

    Where they lie in it says `find_lists`; several JSON documents one after the other are rows. `wanted`: columns that
    the user named, by which a first row of names is known.

    Raises:
        InvalidData: it is not JSON (with line and column), has no rows where they are looked for, or takes more memory
            than it may.
    """
    with source.open_text(encoding, newline=None) as text:
        load = _load_yaml if form == "yaml" else _load_json
        document = load(source, text)
    known = form_of(document) if isinstance(document, dict) else None
    if known is not None:
        lists = Lists([Rows("", list(rows_of(source.name, known, document)))])
    else:
        lists = find_lists(source.name, document, part)
    rows = [_named_rows(found, wanted) for found in lists.taken]
    return Document(
        has_header=all(one.has_header for one in rows),
        records=_numbered(source, rows),
        form=known.name if known else None,
        parts={found.path: found.split for found in lists.taken if found.path},
        left_out=lists.left_out,
    )


def _named_rows(found: Rows, wanted: set[str]) -> "_Named":
    """Return rows with names: lists of cells get those of the first one, or of their places."""
    if found.values and all(isinstance(value, str) for value in found.values):
        return _Named(found._replace(values=[{"text": value} for value in found.values]), None, has_header=True)
    cells = [[as_text(cell) or "" for cell in row] for row in found.values[:SAMPLE_ROWS] if isinstance(row, list)]
    if not cells or not isinstance(found.values[0], list):
        return _Named(found, None, has_header=True)
    # In JSON the first row is seldom one of names: only such names as are known make it one.
    first = {cell.strip().casefold() for cell in cells[0]}
    has_header = len(first & KNOWN_NAMES) > 1 or not wanted.isdisjoint(cells[0])
    return _Named(found, columns_of_cells(cells, wanted if has_header else None).names, has_header=has_header)


class _Named(NamedTuple):
    rows: Rows
    names: list[str] | None
    has_header: bool


def _numbered(source: SourceFile, parts: Sequence[_Named]) -> Iterator[RawRecord | Broken]:
    number = 0
    for rows, names, has_header in parts:
        for place, value in enumerate(rows.values):
            if place == 0 and names is not None and has_header:
                continue
            number += 1
            record = _record(source, number, value if names is None else _by_column(names, value))
            yield record._replace(split=rows.split) if rows.split and isinstance(record, RawRecord) else record


def _by_column(names: Sequence[str], cells: Any) -> Any:
    """Return a list of cells as a row; anything else as it is."""
    if not isinstance(cells, list) or len(cells) > len(names):
        return cells
    return dict(zip(names, cells, strict=False))


def _load_json(source: SourceFile, text: IO[str]) -> Any:
    document = _document_text(source, text)
    try:
        try:
            return json.loads(document, object_pairs_hook=object_once)
        except json.JSONDecodeError as fault:
            if fault.msg != "Extra data":
                raise
        return list(_documents(document))
    except json.JSONDecodeError as fault:
        raise InvalidData(
            f"'{source.name}', line {fault.lineno}, column {fault.colno}: {fault.msg}.",
            cure="Fix the JSON, or write one object a line (JSON lines).",
        ) from fault
    except (ValueError, RecursionError) as fault:
        raise InvalidData(f"'{source.name}' can't be read as JSON: {fault}.", cure="Write JSON lines.") from fault


def _documents(text: str) -> Iterator[Any]:
    """Yield the values that stand one after the other, as `jq` writes them."""
    decoder = json.JSONDecoder(object_pairs_hook=object_once)
    place = 0
    while (begins := BLANKS.match(text, place)) and (place := begins.end()) < len(text):
        value, place = decoder.raw_decode(text, place)
        yield value


def _load_yaml(source: SourceFile, text: IO[str]) -> Any:
    most = (source.budget.memory_mib << 20) // YAML_BYTES
    document = text.read(most + 1)
    if len(document) > most:
        raise InvalidData(
            f"'{source.name}' needs more than {source.budget.memory_mib:,} MiB of memory as one YAML document.",
            cure=f"Write JSON lines, or raise {source.budget.memory_setting}.",
        )
    try:
        # An alias stands for a value as often as it is named: a few lines may become gigabytes.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(document, Loader=yaml.CSafeLoader)):
            raise InvalidData(f"'{source.name}' uses aliases (`*name`), which are not read.", cure="Write them out.")
        return _as_json_has_it(yaml.load(document, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise InvalidData(
            f"'{source.name}' can't be read as YAML: {first_line(fault)}.", cure="Fix it, or write JSON lines."
        ) from fault


def _as_json_has_it(value: Any) -> Any:
    """Return a value of YAML with keys of text, and dates as text."""
    if isinstance(value, dict):
        return {str(key): _as_json_has_it(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_json_has_it(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


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


def read_text(source: SourceFile, encoding: Encoding, form: LineForm) -> Iterator[RawRecord | Broken]:
    """Yield one record a line: column `text`, and `label` where the line has one in `form`, several as `labels`."""
    for number, line in source.lines(encoding, newline=source.line_end()):
        stripped = line.rstrip("\r\n")
        if stripped.strip():
            yield RawRecord(number, form.values(stripped), len(line))


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
