"""Readers of tables: CSV with any delimiter, TSV with literal quotes, Parquet."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agents.base.errors import InvalidData, first_line
from agents.data.files.detection import find_delimiter
from agents.data.files.names import LABEL_NAMES, TEXT_NAMES
from agents.data.files.records import Broken, Format, RawRecord
from agents.data.files.source import Encoding, SourceFile

#: Longest cell of a CSV file in characters; a longer one is a quote that is never closed.
CELL_CHARACTERS = 10 << 20
#: A longer first cell is not the name of a column.
NAME_CHARACTERS = 64
PARQUET_BATCH_ROWS = 1000
NAMELESS = "column_"
#: First line, number of lines, cells.
Cells = tuple[int, int, list[str]]


@dataclass(frozen=True)
class Layout:
    """How a table's lines are to be cut. `quoted`: quotes enclose cells, else they are characters as any other."""

    delimiter: str
    quoted: bool
    columns: list[str]
    has_header: bool


def find_layout(lines: list[str], form: Format, wanted: set[str]) -> Layout:
    """Return delimiter, quoting and columns from a sample of lines. `wanted`: column names given by the user."""
    delimiter = "\t" if form == "tsv" else find_delimiter(lines)
    first = lines[0].split("\t")
    quoted = form == "csv" or all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in first)
    rows = list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter))
    rows = rows if quoted else [line.split(delimiter) for line in lines]
    has_header = _is_header(rows, wanted)
    width = len(rows[0]) if has_header else Counter(len(row) for row in rows).most_common(1)[0][0]
    return Layout(delimiter, quoted, _names(rows[0] if has_header else [""] * width), has_header)


def read_table(source: SourceFile, encoding: Encoding, layout: Layout) -> Iterator[RawRecord | Broken]:
    """Yield the records of a table; one with more cells than there are columns is broken.

    Raises:
        InvalidData: a quote is opened and never closed.
    """
    rows = _quoted_rows(source, encoding, layout) if layout.quoted else _literal_rows(source, encoding)
    for index, cut in enumerate(rows):
        if index == 0 and layout.has_header:
            continue
        if isinstance(cut, Broken):
            yield cut
            continue
        row, line_count, cells = cut
        if any(cell.strip() for cell in cells[len(layout.columns) :]):
            message = f"{len(cells)} cells where there are {len(layout.columns)} columns"
            yield Broken(row, "too_many_cells", message, line_count)
        else:
            # Cells of nameless columns count only where something is in them: spreadsheets add empty ones.
            named = zip(layout.columns, cells, strict=False)
            yield RawRecord(row, {name: cell for name, cell in named if cell or not name.startswith(NAMELESS)})


def read_parquet(source: SourceFile) -> Iterator[RawRecord | Broken]:
    """Yield the rows of a Parquet file, numbered from 1; class labels of Hugging Face's datasets become names.

    Raises:
        InvalidData: the file is damaged.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as fault:
        raise InvalidData(
            f"'{source.name}' is Parquet, and pyarrow is not installed here.",
            cure="Install the extra `train`, or write CSV or JSON lines.",
        ) from fault
    try:
        with source.open_bytes() as bytes_file:
            # Parquet is read from its end: a packed one has to be in memory.
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(bytes_file.read()) if source.packed else bytes_file)
            names = _class_names(file.schema_arrow.metadata or {})
            number = 0
            for batch in file.iter_batches(batch_size=PARQUET_BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield RawRecord(number, {key: _named(value, names.get(key)) for key, value in values.items()})
    except (pyarrow.ArrowException, OSError) as fault:
        raise InvalidData(
            f"The Parquet file '{source.name}' is damaged: {first_line(fault)}", cure="Write it again."
        ) from fault


def _quoted_rows(source: SourceFile, encoding: Encoding, layout: Layout) -> Iterator[Cells | Broken]:
    """Cut lines the csv module's way; cells may hold line ends.

    Quotes are taken strictly, or a stray one would swallow rows up to the next; a line of bad quotes that
    stands for itself is cut as well as can be.
    """
    csv.field_size_limit(CELL_CHARACTERS)
    taken: list[str] = []
    lines = (line for _, line in source.lines(encoding, newline=""))
    reader = csv.reader(_noted(lines, taken), delimiter=layout.delimiter, strict=True)
    last = 0
    while True:
        taken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            if "unexpected end" in str(fault) or "field limit" in str(fault):
                raise InvalidData(
                    f"'{source.name}', line {last + 1}: a quote is opened and never closed.",
                    cure="Close it; a quote inside a quoted cell is written twice.",
                ) from fault
            if len(taken) > 1:
                yield Broken(last + 1, "bad_quotes", f"a quoted cell of {len(taken)} lines: {fault}", len(taken))
                last += len(taken)
                continue
            cells = next(csv.reader(taken, delimiter=layout.delimiter))
        if any(cell.strip() for cell in cells):
            yield last + 1, len(taken), cells
        last += len(taken)


def _noted(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _literal_rows(source: SourceFile, encoding: Encoding) -> Iterator[Cells | Broken]:
    """Cut lines at tabs; nothing encloses anything."""
    for number, line in source.lines(encoding):
        stripped = line.rstrip("\r\n")
        if stripped.strip():
            yield number, 1, stripped.split("\t")


def _is_header(rows: list[list[str]], wanted: set[str]) -> bool:
    """Tell names from data: a first row with known names is a header; one with what later rows repeat isn't."""
    first = [cell.strip().casefold() for cell in rows[0]]
    if set(first) & ({*TEXT_NAMES, *LABEL_NAMES} | {name.casefold() for name in wanted}):
        return True
    if any(len(cell) > NAME_CHARACTERS or _is_number(cell) for cell in first):
        return False
    later = {(index, cell.strip().casefold()) for row in rows[1:] for index, cell in enumerate(row) if cell.strip()}
    return not any((index, cell) in later for index, cell in enumerate(first))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _names(header: list[str]) -> list[str]:
    """Name nameless columns by their place, from 1, and number repeated names."""
    names: list[str] = []
    for place, cell in enumerate(header, start=1):
        name = cell.strip() or f"{NAMELESS}{place}"
        names.append(name if name not in names else f"{name}_{place}")
    return names


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return column -> names of its classes, from what Hugging Face's `datasets` writes into a schema."""
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    return {column: feature["names"] for column, feature in features.items() if "names" in feature}


def _named(value: Any, names: list[str] | None) -> Any:
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value
