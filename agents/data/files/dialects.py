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
#: A backslash before a quote or another one, or one that stands for itself.
ESCAPE = re.compile(r"""\\(["'\\])|\\""")


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
        """Return lines in the form that the csv module cuts: a backslash that stands for itself is doubled."""
        if not self.backslash or self.quote is None:
            return lines
        return (
            ESCAPE.sub(lambda match: match[0] if match[1] else "\\\\", line) if "\\" in line else line for line in lines
        )

    def reader(self, lines: Iterable[str], strict: bool = False) -> Iterator[list[str]]:
        """Return what cuts prepared lines into rows of cells."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            escapechar="\\" if self.backslash else None,
            skipinitialspace=self.blanks,
            strict=strict,
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
    quote = "'" if lines[0][:1] == lines[0][-1:] == "'" else '"'
    for candidate in DELIMITERS:
        reader = csv.reader([f"{line}\n" for line in lines], delimiter=candidate, quotechar=quote)
        widths = Counter(map(len, reader))
        width, count = widths.most_common(1)[0]
        score = (count / widths.total(), lines[0].count(candidate))
        if width >= 2 and score > best:
            best, delimiter = score, candidate
    return delimiter


def _quoting(lines: Sequence[str], whole: bool, delimiter: str, tabs: bool) -> tuple[Dialect, list[list[str]]]:
    """Choose how quotes are meant: as the csv module does, unless another way has fewer rows that don't fit.

    In a table with tabs they enclose cells only where they do so everywhere.
    """
    text = "\n".join(lines)
    usual, literal = Dialect(delimiter), Dialect(delimiter, quote=None)
    backslash, apostrophe = replace(usual, backslash=True), replace(usual, quote="'")
    if _escapes_all(text, delimiter) and not (tried := _tried(backslash, lines, whole)).faults:
        return backslash, tried.rows
    if "'" in text:
        tried = _tried(apostrophe, lines, whole)
        if not tried.faults and _encloses(text, whole, apostrophe, len(tried.rows), all_of_column=True):
            return apostrophe, tried.rows
    best, found = usual, _tried(usual, lines, whole)
    if tabs:
        enclosed = not found.faults and _encloses(text, whole, usual, len(found.rows))
        return (usual, found.rows) if enclosed else (literal, _tried(literal, lines, whole).rows)
    for other in _others(text, delimiter) if found.faults else ():
        trial = _tried(other, lines, whole)
        if trial.faults < found.faults and (other != literal or not trial.faults):
            best, found = other, trial
    return best, found.rows


def _escapes_all(text: str, delimiter: str) -> bool:
    """Say whether each quote inside of a cell stands after a backslash."""
    if '\\"' not in text:
        return False
    inside = re.compile(rf'(?<![\n{re.escape(delimiter)}])(?<!^)"(?![\n{re.escape(delimiter)}]|$)')
    return not inside.search(re.sub(r"\\.", "", text))


def _others(text: str, delimiter: str) -> Iterator[Dialect]:
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


def _encloses(text: str, whole: bool, dialect: Dialect, row_count: int, *, all_of_column: bool = False) -> bool:
    """Say whether quotes enclose cells: all those of a column, or, unless `all_of_column`, only those that need it."""
    enclosed, opened, special = _patterns(dialect.delimiter, dialect.quote or "")
    cells = enclosed.findall(text)
    unclosed = opened.findall(enclosed.sub("", text))
    if not cells or len(unclosed) > (not whole):
        return False
    if len(cells) % row_count == 0:
        return True
    return all(special.search(cell) for cell in cells) and not all_of_column


def _patterns(mark: str, quote: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return patterns of a cell in quotes, of where one is opened, and of what a cell has that needs them."""
    return (
        re.compile(
            rf"(?:^|{re.escape(mark)}){re.escape(quote)}((?:[^{re.escape(quote)}]|{re.escape(quote)}{re.escape(quote)})*)"
            rf"{re.escape(quote)}(?={re.escape(mark)}|$)",
            re.MULTILINE,
        ),
        re.compile(rf"(?:^|{re.escape(mark)}){re.escape(quote)}", re.MULTILINE),
        re.compile(rf"[{re.escape(mark)},{re.escape(quote)}\n]|^\s|\s$"),
    )
