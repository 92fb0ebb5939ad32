"""Readers of tables: CSV with any delimiter, TSV with literal quotes."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agents.base.errors import InvalidData
from agents.data.files.detection import Sample, find_delimiter
from agents.data.files.names import LABEL_NAMES, TEXT_NAMES
from agents.data.files.records import Broken, Format, RawRecord, shortened
from agents.data.files.source import Encoding, SourceFile

#: A longer first cell is not the name of a column.
NAME_CHARACTERS = 64
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


def find_layout(source: SourceFile, sample: Sample, form: Format, wanted: set[str]) -> Layout:
    """Return delimiter, quoting and columns from a sample of lines. `wanted`: column names given by the user.

    Raises:
        InvalidData: there are more columns, or longer names, than are read.
    """
    if sample.cut:
        raise InvalidData(
            f"'{source.name}', line 1 is longer than {source.budget.first_line_characters:,} characters, too long for "
            "the names of columns.",
            cure="Begin with a line of names, such as text,label.",
        )
    lines = sample.lines
    delimiter = "\t" if form == "tsv" else find_delimiter(lines)
    first = lines[0].split("\t")
    quoted = form == "csv" or all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in first)
    rows = list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter))
    rows = rows if quoted else [line.split(delimiter) for line in lines]
    has_header = _is_header(rows, wanted)
    width = len(rows[0]) if has_header else Counter(len(row) for row in rows).most_common(1)[0][0]
    check_columns(source, rows[0] if has_header else [""] * width)
    return Layout(delimiter, quoted, _names(rows[0] if has_header else [""] * width), has_header)


class CellNames(NamedTuple):
    """The names of cells that were not cut from text, by their places, and whether the first row has them."""

    names: list[str]
    has_header: bool


def columns_of_cells(rows: list[list[str]], wanted: set[str] | None) -> CellNames:
    """Return the columns of rows of cells, as of a table's first lines. `wanted`: column names given by the user; None:
    the first row has no names."""
    has_header = wanted is not None and _is_header(rows, wanted)
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    return CellNames(_names(rows[0] if has_header else [""] * width), has_header)


def check_columns(source: SourceFile, names: Sequence[str]) -> None:
    """Refuse more columns, or longer names, than are read.

    Raises:
        InvalidData: with the figure.
    """
    budget = source.budget
    if len(names) > budget.columns:
        raise InvalidData(
            f"'{source.name}' has {len(names):,} columns; at most {budget.columns:,} are read.",
            cure="Keep the columns that you need, or raise TUNELINE_ROWS_COLUMNS_MOST.",
        )
    if (characters := sum(map(len, names))) > budget.first_line_characters:
        raise InvalidData(
            f"The names of the columns of '{source.name}' have {characters:,} characters together; at most "
            f"{budget.first_line_characters:,} are read.",
            cure="Give them shorter names, or keep the columns that you need.",
        )
    for place, name in enumerate(names, start=1):
        if len(name) > budget.name_characters:
            raise InvalidData(
                f"'{source.name}', column {place} has a name of {len(name):,} characters: '{shortened(name)}'; at most "
                f"{budget.name_characters:,} are read.",
                cure="Give it a shorter name. If this is a row, begin with a line of names, such as text,label.",
            )


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


def _quoted_rows(source: SourceFile, encoding: Encoding, layout: Layout) -> Iterator[Cells | Broken]:
    """Cut lines the csv module's way; cells may hold line ends.

    Quotes are taken strictly, or a stray one would swallow rows up to the next; a line of bad quotes that
    stands for itself is cut as well as can be.
    """
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
    names: dict[str, None] = {}
    for place, cell in enumerate(header, start=1):
        name = cell.strip() or f"{NAMELESS}{place}"
        while name in names:
            name = f"{name}_{place}"
        names[name] = None
    return list(names)
