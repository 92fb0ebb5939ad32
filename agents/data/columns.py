"""Which column is the text and which the label: as named, by known names, or by what is in them."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from agents.base.errors import InvalidData
from agents.data.files.names import LABEL_NAMES, TEXT_NAMES, close_name, listed_names
from agents.data.files.records import shortened
from agents.data.shapes import is_label
from agents.data.types import Preference, Shape


class Columns(NamedTuple):
    """All columns of a source, and those that matter: of text and label, or of prompt and answer."""

    names: list[str]
    text: str
    label: str
    shape: Shape = "text_label"
    parts: Mapping[str, str] = {}
    """Of conversations: part of the shape -> its column."""
    preference: Preference | None = None
    """How rows of the shape `preference` say which answers are better."""


def find_columns(
    place: str, sample: Sequence[dict[str, Any]], text: str | None, label: str | None, *, has_header: bool
) -> Columns:
    """Choose the columns from the first rows of a file; `text` and `label`: as the user named them, if so.

    Raises:
        InvalidData: a named column is absent, or none is known to be the text or the label; names those present.
    """
    names = list(dict.fromkeys(name for row in sample for name in row))
    for wanted, option in ((text, "text_column"), (label, "label_column")):
        if wanted is not None and wanted not in names:
            close = close_name(wanted, names)
            guess = f"Did you mean '{close}'?" if close else f"Set the dataset node's `{option}` to one of them."
            raise InvalidData(
                f"{place} has no column '{shortened(wanted)}'; it has: {listed_names(names)}.", cure=guess
            )
    if not has_header:
        by_content = _label_by_content(names, sample)
        label = label or (by_content if by_content != text else None)
        text = text or _text_by_content([name for name in names if name != label], sample)
    text = text or _known(TEXT_NAMES, names, but=label)
    label = label or _known(LABEL_NAMES, names, but=text)
    # Of two columns, one of which is known, the other one follows.
    if len(names) == 2 and (text or label):
        text = text or next(name for name in names if name != label)
        label = label or next(name for name in names if name != text)
    for found, option, what in ((text, "text_column", "text"), (label, "label_column", "label")):
        if found is None:
            raise InvalidData(
                f"{place} has no column that is known to be the {what}; it has: {listed_names(names)}.",
                cure=f"Set the dataset node's `{option}` to one of them.",
            )
    assert text is not None
    assert label is not None
    return Columns(names, text, label)


def find_text(place: str, sample: Sequence[dict[str, Any]], text: str | None) -> str:
    """Choose the column of texts that have no labels: as the user named it, by known names, or the only one.

    Raises:
        InvalidData: the named column is absent, or none is known to be the text.
    """
    names = list(dict.fromkeys(name for row in sample for name in row))
    found = text if text in names else None if text else _known(TEXT_NAMES, names, but=None)
    found = found or (names[0] if len(names) == 1 and text is None else None)
    if found is None:
        lacks = f"has no column '{shortened(text)}'" if text else "has no column that is known to be the text"
        raise InvalidData(
            f"{place} {lacks}; it has: {listed_names(names)}.",
            cure="Set the dataset node's `text_column` to one of them.",
        )
    return found


def _known(known: Sequence[str], names: Sequence[str], but: str | None) -> str | None:
    by_name = {name.strip().casefold(): name for name in reversed(names) if name != but}
    return next((by_name[name] for name in known if name in by_name), None)


def _label_by_content(names: Sequence[str], sample: Sequence[dict[str, Any]]) -> str | None:
    """Return the column of short cells with the fewest different values, fewer than half of the rows."""
    distinct: dict[str, int] = {}
    for name in names:
        cells = [str(row[name]) for row in sample if name in row]
        if is_label(cells):
            distinct[name] = len(set(cells))
    return min(distinct, key=lambda name: distinct[name], default=None)


def _text_by_content(names: Sequence[str], sample: Sequence[dict[str, Any]]) -> str | None:
    """Return the column of the longest cells."""
    length = {name: fmean(len(str(row.get(name, ""))) for row in sample) for name in names}
    return max(length, key=lambda name: length[name], default=None)
