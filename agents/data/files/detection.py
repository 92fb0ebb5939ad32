"""The format of a file: as wanted, by its name, and always by what is in it."""

import json
from typing import NamedTuple

from agents.base.errors import InvalidData
from agents.data.files.dialects import find_delimiter, separator_of
from agents.data.files.lines import find_marked_lines
from agents.data.files.names import LABEL_NAMES, TEXT_NAMES
from agents.data.files.records import Format
from agents.data.files.source import Encoding, SourceFile

PARQUET_MAGIC = b"PAR1"
SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".parquet": "parquet",
    ".pq": "parquet",
}
SAMPLE_LINES = 200
SAMPLE_CHARACTERS = 1 << 16


class Sample(NamedTuple):
    """Lines from the start of a text file, without their ends, blank ones left out. `cut`: the only one goes on.
    `whole`: these are all lines of the file."""

    lines: list[str]
    cut: bool = False
    whole: bool = False


def is_parquet(source: SourceFile, wanted: Format | None) -> bool:
    """Say whether a file is Parquet, by its magic number.

    Raises:
        InvalidData: its name or format says so, and it isn't.
    """
    magic = source.sample(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    claimed = wanted == "parquet" or (wanted is None and SUFFIXES.get(source.suffix) == "parquet")
    if claimed and not magic:
        raise InvalidData(
            f"'{source.name}' is not a Parquet file: it doesn't start with PAR1.",
            cure="Copy it again, or name its `format`.",
        )
    return magic


def sample_lines(source: SourceFile, encoding: Encoding) -> Sample:
    """Return up to 200 whole lines from the start of a text file; of a long first line what the budget allows."""
    lines: list[str] = []
    longest, read, blank = source.budget.first_line_characters, 0, 0
    with source.open_text(encoding, newline=None) as text:
        while len(lines) < SAMPLE_LINES and read < SAMPLE_CHARACTERS:
            if not (line := text.readline(longest + 1)):
                return Sample(lines, whole=True)
            if len(line) > longest:
                return Sample(lines) if lines else Sample([line], cut=True)
            if line.strip():
                lines.append(line.removesuffix("\n"))
                read += len(line)
            elif (blank := blank + len(line)) > source.budget.cell_characters:
                break
    return Sample(lines)


def find_format(source: SourceFile, wanted: Format | None, lines: list[str]) -> Format:
    """Return the format of a text file from its sample."""
    if wanted:
        return wanted
    named = SUFFIXES.get(source.suffix)
    first = lines[0].lstrip()
    if named == "yaml":
        return named
    if named in ("csv", "tsv"):
        tabs = named == "csv" and not separator_of(lines[0]) and find_delimiter(lines) == "\t"
        return "tsv" if tabs else named
    if first.startswith("["):
        return "json"
    if first.startswith("{"):
        return _lines_or_document(lines, named)
    if named:
        return "jsonl"
    return _table_or_text(lines)


def _lines_or_document(lines: list[str], named: Format | None) -> Format:
    """Tell JSON lines from one JSON document: most lines of the former are objects, or begin as such by their name."""
    if len(lines) > 1:
        is_object = _begins_object if named == "jsonl" else _is_object
        return "jsonl" if sum(map(is_object, lines)) * 2 >= len(lines) else "json"
    try:
        value = json.loads(lines[0])
    except (ValueError, RecursionError):
        return named or "jsonl"
    nested = isinstance(value, dict) and any(isinstance(cell, list | dict) for cell in value.values())
    return "json" if nested and named != "jsonl" else "jsonl"


def _begins_object(line: str) -> bool:
    return line.lstrip().startswith("{")


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _table_or_text(lines: list[str]) -> Format:
    """Of a file whose name says nothing: tabs in all lines, a header with names we know, or labels behind a delimiter
    that all lines have once, make a table."""
    if all("\t" in line for line in lines):
        return "tsv"
    if separator_of(lines[0]):
        return "csv"
    delimiter = find_delimiter(lines)
    header = {cell.strip().strip('"').casefold() for cell in lines[0].split(delimiter)}
    if header & set(TEXT_NAMES) and header & set(LABEL_NAMES):
        return "csv"
    marked = find_marked_lines(lines)
    once = marked is not None and all(line.count(delimiter) == 1 for line in lines)
    return "csv" if once and marked and marked.mark == delimiter else "text"
