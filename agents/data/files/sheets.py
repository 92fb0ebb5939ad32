"""Reader of spreadsheets (.xlsx, .xlsb, .xls, .ods), in a process that has limits: what their XML becomes is not known
before. Of formulas the values count that were computed when the file was saved."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from io import BytesIO
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from agents.base.confined import Limits, confined_stream
from agents.base.errors import InvalidData, first_line
from agents.base.row_budget import RowBudget
from agents.data.files.names import listed_names
from agents.data.files.records import Broken, RawRecord, as_text
from agents.data.files.source import SourceFile
from agents.data.files.splits import SplitName, choose
from agents.data.files.tables import check_columns, columns_of_cells

PIECE_ROWS = 1000
SAMPLE_ROWS = 200
PROCESSOR_S, WAIT_S = 3600, 600.0
CURE = "Save its sheet as CSV."
ABOVE = "it stands above the names of the columns"
HIDDEN, NO_ROWS, NOT_FIRST = "it is hidden", "it holds no rows", "another sheet was named or comes first; see `part`"
ORDER: dict[str | None, int] = {"train": 0, None: 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Workbook:
    """A spreadsheet that is being read. `parts`: the sheets with rows and their splits; `left_out`: others -> why."""

    records: Iterator[RawRecord | Broken]
    has_header: bool
    parts: Mapping[str, SplitName | None]
    left_out: Mapping[str, str] = field(default_factory=dict)


def open_workbook(source: SourceFile, wanted: set[str], part: str | None) -> Workbook:
    """Start to read a spreadsheet: its first visible sheet with rows, those that are named by splits, or `part`.

    Raises:
        InvalidData: it is damaged, has a password, no rows or no such sheet, or takes more than it may.
    """
    arguments: dict[str, Any] = {
        "path": str(source.path),
        "member": source.member,
        "budget": source.budget.model_dump(),
        "part": part,
    }
    budget = source.budget
    limits = Limits(budget.memory_mib, PROCESSOR_S, WAIT_S, 64, budget.batch_mib, CURE, CURE, CURE)
    subject = f"The spreadsheet '{source.name}'"
    pieces = (
        confined_stream(unpack_workbook, arguments, limits, subject=subject)
        if budget.apart
        else unpack_workbook(**arguments)
    )
    facts = json.loads(next(pieces))
    rows = (row for piece in pieces for row in json.loads(piece))
    first = list(islice(rows, SAMPLE_ROWS))
    above = _above(first)
    first = first[len(above) :]
    names = _names_of(first, wanted)
    return Workbook(
        _records(source, chain(first, rows), facts["splits"], names[0], names[1]),
        has_header=names[1],
        parts=dict(zip(facts["sheets"], facts["splits"], strict=True)),
        left_out=facts["left_out"] | above,
    )


#: Number of the sheet, number of the row, cells.
SheetRow = tuple[int, int, list[Any]]


def _above(rows: list[SheetRow]) -> dict[str, str]:
    """Return the rows above the names of columns: a title or a note in one cell, where the table has more."""
    widths = Counter(sum(cell != "" for cell in cells) for sheet, _, cells in rows if sheet == 0)
    if len(widths) < 2 or widths.most_common(1)[0][0] < 2:
        return {}
    titles = takewhile(lambda row: sum(cell != "" for cell in row[2]) == 1 and row[0] == 0, rows)
    return {f"row {number}": ABOVE for _, number, _ in titles}


def _names_of(rows: list[SheetRow], wanted: set[str]) -> tuple[list[str], bool]:
    first_sheet = [[as_text(cell) or "" for cell in cells] for sheet, _, cells in rows if sheet == 0]
    columns = columns_of_cells(first_sheet, wanted)
    return columns.names, columns.has_header


def _records(
    source: SourceFile, rows: Iterator[SheetRow], splits: list[SplitName | None], names: list[str], has_header: bool
) -> Iterator[RawRecord | Broken]:
    """Yield the records of all sheets; each begins with names of its own where the first does."""
    check_columns(source, names)
    current, before, last = -1, 0, 0
    for sheet, row, cells in rows:
        if sheet != current:
            current, before = sheet, before + last
            if has_header:
                if sheet:
                    names = columns_of_cells([[as_text(cell) or "" for cell in cells]], set(names)).names
                last = row
                continue
        last = row
        if any(cell != "" for cell in cells[len(names) :]):
            message = f"{len(cells)} cells where there are {len(names)} columns"
            yield Broken(before + row, "too_many_cells", message)
            continue
        yield RawRecord(before + row, dict(zip(names, cells, strict=False)), split=splits[sheet])


# -- the side of the process with limits -------------------------------------------------------------


def unpack_workbook(path: str, member: str | None, budget: dict[str, Any], part: str | None) -> Iterator[bytes]:
    """Yield as JSON which sheets are read, then their rows, a thousand at a time, as `SheetRow`.

    Raises:
        InvalidData: it is damaged, has a password, or no rows.
    """
    source = SourceFile(Path(path), RowBudget.model_validate(budget), member)
    with source.open_bytes() as file:
        try:
            book = CalamineWorkbook.from_filelike(BytesIO(file.read()) if source.packed else file)
            sheets, left_out = _sheets(source, book, part)
        except PasswordError as fault:
            raise InvalidData(f"'{source.name}' has a password.", cure="Save it without one.") from fault
        except (CalamineError, OSError, ValueError) as fault:
            raise InvalidData(f"'{source.name}' is a damaged spreadsheet: {first_line(fault)}.", cure=CURE) from fault
        facts = {"sheets": [sheet.name for sheet, _ in sheets], "splits": [split for _, split in sheets]}
        yield json.dumps({**facts, "left_out": left_out}).encode()
        for place, (sheet, _) in enumerate(sheets):
            rows = _rows(place, sheet)
            while some := list(islice(rows, PIECE_ROWS)):
                yield json.dumps(some, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _sheets(
    source: SourceFile, book: CalamineWorkbook, part: str | None
) -> tuple[list[tuple[CalamineSheet, SplitName | None]], dict[str, str]]:
    """Return the sheets to read with their splits, and why others are left out."""
    pages = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    meant = [sheet.name for sheet in pages if part is not None and fnmatchcase(sheet.name, part)]
    if part is not None and not meant:
        raise InvalidData(
            f"'{source.name}' has no sheet '{part}'; it has: {listed_names([sheet.name for sheet in pages])}.",
            cure="Set `part` of the dataset node to one of them.",
        )
    shown = meant or [sheet.name for sheet in pages if sheet.visible == SheetVisibleEnum.Visible]
    left_out = {sheet.name: NOT_FIRST if meant else HIDDEN for sheet in pages if sheet.name not in shown}
    found = {name: book.get_sheet_by_name(name) for name in shown}
    left_out |= {name: NO_ROWS for name, sheet in found.items() if not sheet.height}
    names = [name for name in shown if name not in left_out]
    if not names:
        raise InvalidData(f"'{source.name}' holds no rows.", cure="Fill a sheet, and show it.")
    choice = choose(names)
    left_out |= choice.left_out
    taken = dict(choice.taken)
    if not choice.splits and not meant:
        taken = {names[0]: None}
        left_out |= dict.fromkeys(names[1:], NOT_FIRST)
    ordered = sorted(taken.items(), key=lambda named: ORDER[named[1]])
    return [(found[name], split) for name, split in ordered], left_out


def _rows(place: int, sheet: CalamineSheet) -> Iterator[SheetRow]:
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        plain = [_plain(cell) for cell in cells]
        while plain and plain[-1] == "":
            plain.pop()
        if plain:
            yield place, number, plain


def _plain(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
