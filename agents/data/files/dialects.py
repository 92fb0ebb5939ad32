"""How the lines of a table are cut into cells: delimiter, quotes and escapes, told from a sample of lines."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from agents.data.files.records import Format

#: The surest first: commas stand in texts and in numbers as well.
DELIMITERS = ("\t", ";", "|", ",")
#: The first line that Excel writes and reads: `sep=;`.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
ESCAPE = re.compile(r'\\(["\\])')
#: The same as a doubled quote, and as itself.
UNESCAPED = {'"': '""', "\\": "\\"}


@dataclass(frozen=True)
class Dialect:
    """How lines are cut. `quote`: encloses cells; None: it is a character as any other."""

    delimiter: str
    quote: str | None = '"'
    backslash: bool = False
    """A backslash stands before a quote that is meant; without quotes, before a delimiter or line end that is."""
    blanks: bool = False
    """Blanks after a delimiter are no part of the cell."""
    skipped: int = 0
    """Lines before the table: `sep=;`, comments."""

    def prepared(self, lines: Iterable[str]) -> Iterable[str]:
        """Return lines in the form that the csv module cuts."""
        if not self.backslash or self.quote is None:
            return lines
        return (ESCAPE.sub(lambda match: UNESCAPED[match[1]], line) if "\\" in line else line for line in lines)

    def reader(self, lines: Iterable[str], strict: bool = False) -> Iterator[list[str]]:
        """Return what cuts prepared lines into rows of cells."""
        if self.quote is None:
            return csv.reader(
                lines,
                delimiter=self.delimiter,
                quoting=csv.QUOTE_NONE,
                escapechar="\\" if self.backslash else None,
                strict=strict,
            )
        return csv.reader(
            lines, delimiter=self.delimiter, quotechar=self.quote, skipinitialspace=self.blanks, strict=strict
        )


class _Trial(NamedTuple):
    """How a dialect cuts a sample: rows that don't fit, and the rows."""

    faults: int
    rows: list[list[str]]


def find_dialect(lines: Sequence[str], whole: bool, form: Format) -> tuple[Dialect, list[list[str]]]:
    """Return the dialect of a table and the sample's rows. `whole`: the sample is all of the file."""
    skipped = 0
    named = separator_of(lines[0])
    if named and len(lines) > 1:
        lines, skipped = lines[1:], 1
    tabs = form == "tsv" and any("\t" in line for line in lines)
    delimiter = named or ("\t" if tabs else find_delimiter([line for line in lines if line[:1] != "#"] or lines))
    others = Counter(line.count(delimiter) for line in lines if line[:1] != "#")
    while others and lines[0].startswith("#") and lines[0].count(delimiter) < others.most_common(1)[0][0]:
        lines, skipped = lines[1:], skipped + 1
    dialect, rows = _quoting(lines, whole, delimiter, tabs)
    return replace(dialect, skipped=skipped), rows


def separator_of(line: str) -> str | None:
    """Return the delimiter that a first line of Excel's names."""
    found = SEPARATOR_LINE.fullmatch(line.strip(" \r\n"))
    return found[1] if found else None


def find_delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that cuts most lines into the same number of cells, at least two; a comma if none does."""
    best, delimiter = (0.0, 0), ","
    for candidate in DELIMITERS:
        widths = Counter(len(cells) for cells in csv.reader([f"{line}\n" for line in lines], delimiter=candidate))
        width, count = widths.most_common(1)[0]
        score = (count / widths.total(), lines[0].count(candidate))
        if width >= 2 and score > best:
            best, delimiter = score, candidate
    return delimiter


def _quoting(lines: Sequence[str], whole: bool, delimiter: str, tabs: bool) -> tuple[Dialect, list[list[str]]]:
    """Choose how quotes are meant: as the csv module does, unless another way has fewer rows that don't fit."""
    literal = Dialect(delimiter, quote=None)
    usual = Dialect(delimiter)
    tried = _tried(usual, lines, whole)
    if tabs and (tried.faults or not _encloses(lines, whole, delimiter, len(tried.rows))):
        return literal, _tried(literal, lines, whole).rows
    if _all_in(tried.rows, "'"):
        return Dialect(delimiter, quote="'"), _tried(Dialect(delimiter, quote="'"), lines, whole).rows
    best, found = usual, tried
    for other in _others(lines, delimiter) if tried.faults else ():
        trial = _tried(other, lines, whole)
        if trial.faults < found.faults and (other != literal or not trial.faults):
            best, found = other, trial
    return best, found.rows


def _others(lines: Sequence[str], delimiter: str) -> Iterator[Dialect]:
    text = "\n".join(lines)
    if f'{delimiter} "' in text:
        yield Dialect(delimiter, blanks=True)
    if '\\"' in text:
        yield Dialect(delimiter, backslash=True)
        yield Dialect(delimiter, backslash=True, blanks=True)
    if "'" in text:
        yield Dialect(delimiter, quote="'")
    if f"\\{delimiter}" in text:
        yield Dialect(delimiter, quote=None, backslash=True)
    yield Dialect(delimiter, quote=None)


def _tried(dialect: Dialect, lines: Sequence[str], whole: bool) -> _Trial:
    """Cut a sample; of one that is not whole the last row may go on."""
    reader = dialect.reader(dialect.prepared(f"{line}\n" for line in lines), strict=True)
    rows: list[list[str]] = []
    faults = 0
    while True:
        try:
            rows.append(next(reader))
        except StopIteration:
            break
        except csv.Error as fault:
            faults += whole or "unexpected end" not in str(fault)
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    faults += sum(len(row) < width or any(cell.strip() for cell in row[width:]) for row in rows)
    # A cell that goes on over lines which are rows by themselves was never meant to.
    faults += sum(
        1
        for row in rows
        for cell in row
        if any(line.count(dialect.delimiter) >= width - 1 > 0 for line in cell.split("\n")[1:-1])
    )
    return _Trial(faults, rows or [[line] for line in lines])


def _encloses(lines: Sequence[str], whole: bool, delimiter: str, row_count: int) -> bool:
    """Say whether quotes enclose cells of a table with tabs: all those of a column, or only those that need it."""
    text, mark = "\n".join(lines), re.escape(delimiter)
    enclosed = re.compile(rf'(?:^|{mark})"((?:[^"]|"")*)"(?={mark}|$)', re.MULTILINE)
    cells = enclosed.findall(text)
    unclosed = re.findall(rf'(?:^|{mark})"', enclosed.sub("", text), re.MULTILINE)
    if not cells or len(unclosed) > (not whole):
        return False
    needing = sum(bool(re.search(rf'[{mark},"\n]|^\s|\s$', cell)) for cell in cells)
    return needing == len(cells) or len(cells) % row_count == 0


def _all_in(rows: Sequence[Sequence[str]], quote: str) -> bool:
    """Say whether all cells of several columns stand in such quotes."""
    return len(rows[0]) > 1 and all(
        len(cell) > 1 and cell[0] == cell[-1] == quote for row in rows for cell in row if cell
    )
