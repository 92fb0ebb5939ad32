"""The texts of a file, for a batch: a line each, or a column of any file that rows are read from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidData, InvalidRequest
from agents.data.files import Broken, RawRecord, open_rows
from agents.data.files.detection import SUFFIXES
from agents.data.files.names import TEXT_NAMES
from agents.data.files.records import as_text
from app.serving.routes.schemas import TEXT_MOST_CHARACTERS


def read_texts(path: Path, column: str | None = None) -> list[str]:
    """Return the texts of a file, in order: every line of plain text that is not blank, or a column of a table.

    `column`: the texts' own; unset: the only one, or the first that is called as texts are.

    Raises:
        InvalidRequest: a column of plain text is named.
        InvalidData: the file can't be read, has no such column, or holds a text that serving would refuse.
    """
    plain = not any(suffix.lower() in SUFFIXES for suffix in path.suffixes)
    if plain and column:
        raise InvalidRequest(f"'{path.name}' is plain text with one text per line: it has no columns.")
    reading = open_rows(path, "text" if plain else None, None, {column} if column else set())
    return list(_texts(path.name, reading.records, column))


def _texts(name: str, records: Iterator[RawRecord | Broken], column: str | None) -> Iterator[str]:
    for record in records:
        if isinstance(record, Broken):
            raise InvalidData(f"'{name}', row {record.row}: {record.message}.", cure="Fix the row, or remove it.")
        column = column or _column(name, record.values)
        text = as_text(record.values.get(column))
        if text is None or not text.strip():
            raise InvalidData(
                f"'{name}', row {record.row} has no text in the column '{column}'; it has {_listed(record.values)}.",
                cure="Name the texts' column with --column, or remove the row.",
            )
        if len(text) > TEXT_MOST_CHARACTERS:
            raise InvalidData(
                f"'{name}', row {record.row} has a text of {len(text):,} characters.",
                cure=f"A text may have at most {TEXT_MOST_CHARACTERS:,}: shorten it.",
            )
        yield text


def _column(name: str, values: dict[str, Any]) -> str:
    if len(values) == 1:
        return next(iter(values))
    by_name = {key.strip().casefold(): key for key in values}
    for known in TEXT_NAMES:
        if known in by_name:
            return by_name[known]
    raise InvalidData(
        f"'{name}' has no column with a known name for texts; it has {_listed(values)}.",
        cure="Name it with --column.",
    )


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"'{key}'" for key in values)
