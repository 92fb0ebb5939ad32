"""Readers of tables: CSV and TSV in the dialects that people's programs write."""

import csv
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agents.base.errors import InvalidData
from agents.data.files.detection import Sample
from agents.data.files.dialects import Dialect, find_dialect
from agents.data.files.headers import NAMELESS, column_names, is_header
from agents.data.files.records import Broken, Format, RawRecord, shortened
from agents.data.files.source import Encoding, SourceFile

#: First line, number of lines, cells.
Cells = tuple[int, int, list[str]]


@dataclass(frozen=True)
class Layout:
    """How a table's lines are to be cut, and what its columns are called."""

    dialect: Dialect
    columns: list[str]
    has_header: bool


def find_layout(source: SourceFile, sample: Sample, form: Format, wanted: set[str]) -> Layout:
    """Return the dialect and the columns from a sample of lines. `wanted`: column names given by the user.

    Raises:
        InvalidData: there are more columns, or longer names, than are read.
    """
    if sample.cut:
        raise InvalidData(
            f"'{source.name}', line 1 is longer than {source.budget.first_line_characters:,} characters, too long for "
            "the names of columns.",
            cure="Begin with a line of names, such as text,label.",
        )
    dialect, rows = find_dialect(sample.lines, sample.whole, form)
    has_header = is_header(rows, wanted)
    width = len(rows[0]) if has_header else Counter(len(row) for row in rows).most_common(1)[0][0]
    header = _with_index(rows) if has_header else [""] * width
    check_columns(source, header)
    return Layout(dialect, column_names(header), has_header)


def _with_index(rows: list[list[str]]) -> list[str]:
    """Return a header in which the nameless first column of row numbers, as pandas writes it, has a name."""
    first, *others = rows
    counts = len(first) > 2 and not first[0].strip() and bool(others) and "index" not in first
    return ["index", *first[1:]] if counts and all(row == first or row[0].isdigit() for row in others if row) else first


class CellNames(NamedTuple):
    """The names of cells that were not cut from text, by their places, and whether the first row has them."""

    names: list[str]
    has_header: bool


def columns_of_cells(rows: list[list[str]], wanted: set[str] | None) -> CellNames:
    """Return the columns of rows of cells, as of a table's first lines. `wanted`: column names given by the user; None:
    the first row has no names."""
    has_header = wanted is not None and is_header(rows, wanted)
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    return CellNames(column_names(rows[0] if has_header else [""] * width), has_header)


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
    header: list[str] | None = None
    rows = (_quoted_rows if layout.dialect.quote else _literal_rows)(source, encoding, layout.dialect)
    for index, cut in enumerate(rows):
        if isinstance(cut, Broken):
            yield cut
            continue
        row, line_count, cells = cut
        if index == 0 and layout.has_header:
            header = cells
            continue
        if cells == header:
            # Tables that were put one after the other: a row without values is counted.
            yield RawRecord(row, {})
            continue
        if any(cell.strip() for cell in cells[len(layout.columns) :]):
            message = f"{len(cells)} cells where there are {len(layout.columns)} columns"
            yield Broken(row, "too_many_cells", message, line_count)
        else:
            # Cells of nameless columns count only where something is in them: spreadsheets add empty ones.
            named = zip(layout.columns, cells, strict=False)
            yield RawRecord(row, {name: cell for name, cell in named if cell or not name.startswith(NAMELESS)})


class _Lines:
    """The lines of a table from its first row on. `taken`: those since the last row; they can be given back."""

    def __init__(self, source: SourceFile, encoding: Encoding, dialect: Dialect, newline: str) -> None:
        numbered = source.lines(encoding, newline=newline)
        self.last, left = 0, dialect.skipped
        while left:
            self.last, line = next(numbered)
            left -= bool(line.strip())
        self._lines = iter(dialect.prepared(line for _, line in numbered))
        self._again: deque[str] = deque()
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        while True:
            line = self._again.popleft() if self._again else next(self._lines, None)
            if line is None:
                return
            self.taken.append(line)
            yield line

    def next_row(self) -> None:
        self.last += len(self.taken)
        self.taken.clear()

    def give_back(self) -> None:
        """Give back all lines of the row but the first."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def _quoted_rows(source: SourceFile, encoding: Encoding, dialect: Dialect) -> Iterator[Cells | Broken]:
    """Cut lines the csv module's way; cells may hold line ends.

    Quotes are taken strictly, or a stray one would swallow rows up to the next: only the line that it stands in is
    broken then. A line of bad quotes that stands for itself is cut as well as can be.
    """
    lines = _Lines(source, encoding, dialect, newline="")
    reader = dialect.reader(iter(lines), strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            if "unexpected end" in str(fault) or "field limit" in str(fault):
                raise InvalidData(
                    f"'{source.name}', line {lines.last + 1}: a quote is opened and never closed.",
                    cure="Close it; a quote inside a quoted cell is written twice.",
                ) from fault
            if len(lines.taken) > 1:
                lines.give_back()
                yield Broken(lines.last + 1, "bad_quotes", f"a quote that nothing closes: {fault}")
                lines.next_row()
                reader = dialect.reader(iter(lines), strict=True)
                continue
            cells = next(dialect.reader(list(lines.taken)))
        if any(cell.strip() for cell in cells):
            yield lines.last + 1, len(lines.taken), cells
        lines.next_row()


def _literal_rows(source: SourceFile, encoding: Encoding, dialect: Dialect) -> Iterator[Cells | Broken]:
    """Cut lines at delimiters; nothing encloses anything."""
    if dialect.backslash:
        lines = _Lines(source, encoding, dialect, newline="")
        for cells in dialect.reader(iter(lines)):
            if any(cell.strip() for cell in cells):
                yield lines.last + 1, len(lines.taken), cells
            lines.next_row()
        return
    left = dialect.skipped
    for number, line in source.lines(encoding, newline=source.line_end()):
        stripped = line.rstrip("\r\n")
        if not stripped.strip():
            continue
        if left:
            left -= 1
            continue
        yield number, 1, stripped.split(dialect.delimiter)
