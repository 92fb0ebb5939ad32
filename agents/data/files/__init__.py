"""Reading rows: any file of JSON, YAML, CSV, TSV, a spreadsheet, Parquet, Arrow or text becomes a stream of records."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget
from agents.data.files.archives import ZIP_MAGIC
from agents.data.files.detection import find_format, is_parquet, sample_lines
from agents.data.files.documents import open_document, read_json_lines, read_text
from agents.data.files.encoding import find_encoding
from agents.data.files.forms import in_form
from agents.data.files.lines import find_line_form
from agents.data.files.magic import MAGIC_BYTES, OLD_OFFICE, refuse_foreign
from agents.data.files.parquet import is_arrow, read_columnar
from agents.data.files.records import Broken, Format, RawRecord
from agents.data.files.sheets import open_workbook
from agents.data.files.source import SourceFile
from agents.data.files.splits import SplitName
from agents.data.files.tables import find_layout, read_table
from agents.data.files.texts import TEXT_SUFFIXES, read_passages, read_whole
from agents.data.files.token_labels import refuse_token_lines


@dataclass(frozen=True)
class Reading:
    """A file that is being read. `records` can be gone through once; `has_header` is False for bare tables."""

    source: SourceFile
    format: Format
    encoding: str
    has_header: bool
    records: Iterator[RawRecord | Broken]
    delimiter: str | None = None
    """Between the cells of a table, or the text and the label of a line."""
    form: str | None = None
    """Which tool's form its records had, see `agents.data.files.forms`."""
    parts: Mapping[str, SplitName | None] = field(default_factory=dict)
    """The lists or sheets that its rows are in, and their splits."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Other lists or sheets in it, and why they are not read."""
    language: str | None = None
    """What the text looks like, where its encoding was told by that."""


def open_rows(
    path: Path,
    form: Format | None,
    encoding: str | None,
    wanted: set[str],
    budget: RowBudget | None = None,
    *,
    member: str | None = None,
    part: str | None = None,
    passages: bool = False,
    label: str | None = None,
) -> Reading:
    """Start to read a file of rows, of the format `form` or the one found in it.

    `wanted`: the columns that the user named, by which a header is known. `member`: the file in the zip archive `path`.
    `part`: the sheet or list that is meant. `passages`: plain text is read by paragraphs instead of lines;
    `label`: the file is one text with this label.

    Raises:
        InvalidData: the file is empty, binary, damaged, over `budget` or in no known encoding; also while reading.
    """
    source = SourceFile(path, budget, member)
    first = source.sample(MAGIC_BYTES)
    if not first:
        raise InvalidData(f"'{source.name}' is empty.", cure="Name a file with rows.")
    refuse_foreign(source.name, first)
    reading = _binary(source, first, form, wanted, part) or _text(
        source, form, encoding, wanted, part, passages=passages, label=label
    )
    if reading.form is not None or reading.format in ("csv", "tsv", "xlsx", "text"):
        return reading
    known, records = in_form(source.name, reading.records)
    return replace(reading, form=known.name if known else None, records=records)


def _binary(
    source: SourceFile, first: bytes, form: Format | None, wanted: set[str], part: str | None
) -> Reading | None:
    if first.startswith((*ZIP_MAGIC, OLD_OFFICE)) or form == "xlsx":
        book = open_workbook(source, wanted, part)
        return Reading(
            source, "xlsx", "binary", book.has_header, book.records, parts=book.parts, left_out=book.left_out
        )
    if is_parquet(source, form):
        return Reading(source, "parquet", "binary", True, read_columnar(source, "parquet"))
    if is_arrow(source, form):
        return Reading(source, "arrow", "binary", True, read_columnar(source, "arrow"))
    return None


def _text(
    source: SourceFile,
    form: Format | None,
    encoding: str | None,
    wanted: set[str],
    part: str | None,
    *,
    passages: bool,
    label: str | None,
) -> Reading:
    # The module's own limit is shorter than a cell may be; a longer one is a quote that is never closed.
    csv.field_size_limit(source.budget.cell_characters)
    found = find_encoding(source, encoding)
    sample = sample_lines(source, found)
    if not sample.lines:
        raise InvalidData(f"'{source.name}' holds nothing but blank lines.", cure="Name a file with rows.")
    name = f"{found.name} with damaged bytes" if found.errors == "replace" else found.name
    if label is not None:
        return Reading(source, "text", name, True, read_whole(source, found, label))
    if passages and form in (None, "text") and source.suffix in TEXT_SUFFIXES:
        return Reading(source, "text", name, True, read_passages(source, found))
    kind = find_format(source, form, sample.lines)
    if kind in ("csv", "tsv", "text") and not wanted:
        refuse_token_lines(source.name, sample.lines)
    if kind in ("csv", "tsv"):
        layout = find_layout(source, sample, kind, wanted)
        table = Reading(
            source, kind, name, layout.has_header, read_table(source, found, layout), layout.dialect.delimiter
        )
        return replace(table, language=found.language)
    if kind in ("json", "yaml"):
        document = open_document(source, found, kind, wanted, part)
        reading = Reading(source, kind, name, document.has_header, document.records, language=found.language)
        return replace(reading, form=document.form, parts=document.parts, left_out=document.left_out)
    if kind == "jsonl":
        return Reading(source, kind, name, True, read_json_lines(source, found), language=found.language)
    lines = find_line_form(sample.lines, marks=form is None)
    mark = lines.marked.mark if lines.marked else None
    return Reading(source, kind, name, True, read_text(source, found, lines), mark, language=found.language)


__all__ = ["Broken", "Format", "RawRecord", "Reading", "open_rows"]
