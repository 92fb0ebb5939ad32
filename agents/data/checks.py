"""Sources that can't be used: without rows, or with one label only."""

from agents.base.errors import InvalidData
from agents.data.columns import Columns
from agents.data.files.records import shortened
from agents.data.reader import RowsReader
from agents.data.shapes import TEXTS
from agents.data.statistics import Tally


def check_rows(reader: RowsReader, tally: Tally) -> None:
    """Refuse a source without rows, or with one label only."""
    columns, place = reader.columns, reader.place
    if columns is None:
        raise InvalidData(f"{place} holds no rows.", cure="Add rows; a header alone is not enough.")
    if not tally.row_count:
        _refuse_all(reader, columns)
    if len(tally.label_counts) == 1:
        raise InvalidData(
            f"All {tally.row_count} rows of {place} have the label '{shortened(next(iter(tally.label_counts)))}' "
            f"(column '{columns.label}'): there is nothing to learn.",
            cure="Add rows with another label, or set `label_column`.",
        )


def _refuse_all(reader: RowsReader, columns: Columns) -> None:
    reasons = ", ".join(f"{count} x {reason}" for reason, count in reader.dropped.items())
    if columns.shape in TEXTS:
        raise InvalidData(
            f"{reader.place} has no usable row with text in '{columns.text}' and a label in '{columns.label}' "
            f"({reasons}).",
            cure="Check `text_column`, `label_column` and `label_map` of the dataset node.",
        )
    first = "; ".join(f"{reason} first in {place}" for reason, place in reader.first_dropped.items())
    raise InvalidData(
        f"{reader.place} has no usable row of the shape '{columns.shape}' ({reasons}; {first}).",
        cure="Rows with pictures, sound or video are not learned: use rows of text alone."
        if reader.dropped["content_is_no_text"] == reader.dropped.total()
        else "Check the rows, or set `shape`, `text_column` and `label_column` of the dataset node.",
    )
