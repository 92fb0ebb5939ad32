"""Reading rows: any file of JSON lines, JSON, CSV, TSV, Parquet or text becomes a stream of records."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget
from agents.data.files.detection import find_format, is_parquet, sample_lines
from agents.data.files.documents import read_json_document, read_json_lines, read_text
from agents.data.files.encoding import find_encoding
from agents.data.files.parquet import read_parquet
from agents.data.files.records import Broken, Format, RawRecord
from agents.data.files.source import SourceFile
from agents.data.files.tables import find_layout, read_table


@dataclass(frozen=True)
class Reading:
    """A file that is being read. `records` can be gone through once; `has_header` is False for bare tables."""

    source: SourceFile
    format: Format
    encoding: str
    has_header: bool
    records: Iterator[RawRecord | Broken]
    delimiter: str | None = None
    """Between the cells of a table."""


def open_rows(
    path: Path, form: Format | None, encoding: str | None, wanted: set[str], budget: RowBudget | None = None
) -> Reading:
    """Start to read a file of rows, of the format `form` or the one found in it.

    `wanted`: the columns that the user named, by which a header is known.

    Raises:
        InvalidData: the file is empty, binary, damaged, over `budget` or in no known encoding; also while reading.
    """
    source = SourceFile(path, budget)
    if source.size_bytes == 0 or not source.sample(1):
        raise InvalidData(f"'{source.name}' is empty.", cure="Name a file with rows.")
    if is_parquet(source, form):
        return Reading(source, "parquet", "binary", True, read_parquet(source))
    # The module's own limit is shorter than a cell may be; a longer one is a quote that is never closed.
    csv.field_size_limit(source.budget.cell_characters)
    found = find_encoding(source, encoding)
    sample = sample_lines(source, found)
    if not sample.lines:
        raise InvalidData(f"'{source.name}' holds nothing but blank lines.", cure="Name a file with rows.")
    name = f"{found.name} with damaged bytes" if found.errors == "replace" else found.name
    kind = find_format(source, form, sample.lines)
    if kind in ("csv", "tsv"):
        layout = find_layout(source, sample, kind, wanted)
        return Reading(source, kind, name, layout.has_header, read_table(source, found, layout), layout.delimiter)
    reader = {"jsonl": read_json_lines, "json": read_json_document, "text": read_text}[kind]
    return Reading(source, kind, name, True, reader(source, found))


__all__ = ["Broken", "Format", "RawRecord", "Reading", "open_rows"]
