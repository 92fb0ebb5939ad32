"""Which column is the text and which the label: as named, or by their names and what is in them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from agents.base.errors import InvalidData
from agents.base.typed import as_typed
from agents.data.evidence import Evidence, evidence_of
from agents.data.fields import is_harmless
from agents.data.files.names import (
    ABOUT_NAMES,
    LABEL_NAMES,
    SURE_LABELS,
    SURE_TEXTS,
    TEXT_NAMES,
    close_name,
    listed_names,
)
from agents.data.files.records import Broken, RawRecord, shortened
from agents.data.types import Preference, Shape

#: A text is taken before others that have this much fewer characters.
CLEARLY_LONGER = 3.0
#: Of fewer rows nothing is said against a label by how many values it has.
TELLING_ROWS = 10
#: Rows of a sample that is not all of the file.
SAMPLE_ROWS = 200
#: What is no label, whatever the column is called.
NO_LABELS = ("e-mail addresses", "links", "names of files", "dates", "ids", "objects", "JSON")
#: Candidates that a sentence lists.
LISTED = 6
WORDS = {"text_column": "the text", "label_column": "the label"}


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
    why: str = ""
    """The reason for the choice, as sentences."""


class _Choice(NamedTuple):
    name: str
    why: str


def find_columns(
    place: str, sample: Sequence[dict[str, Any]], text: str | None, label: str | None, *, has_header: bool
) -> Columns:
    """Choose the columns from the first rows of a file; `text` and `label`: as the user named them, if so.

    Raises:
        InvalidData: a named column is absent, none can be told to be the text or the label, or several can; names
            those present.
    """
    names = list(dict.fromkeys(name for row in sample for name in row))
    check_named(place, names, text, label)
    columns = [evidence_of(name, sample) for name in names]
    if len(names) == 1:
        _refuse_one(place, names[0])
    by_text = _Choice(text, f"'{text}' is set as the text") if text else _text(place, columns, label, has_header)
    by_label = _Choice(label, f"'{label}' is set as the label") if label else None
    if by_label is None:
        by_label = _label(place, [one for one in columns if by_text is None or one.name != by_text.name])
    by_text = by_text or _other(by_label, columns)
    by_label = by_label or _other(by_text, columns, label=True)
    for found, option in ((by_text, "text_column"), (by_label, "label_column")):
        if found is None:
            raise InvalidData(
                f"{place} has no column that is known to be {WORDS[option]}; it has: {listed_names(names)}.",
                cure=f"Set the dataset node's `{option}` to one of them (`-p {option}=...`).",
            )
    assert by_text is not None
    assert by_label is not None
    return Columns(names, by_text.name, by_label.name, why=f"{by_text.why}; {by_label.why}.")


def check_named(place: str, names: Sequence[str], text: str | None, label: str | None) -> None:
    """Check the columns that the user named.

    Raises:
        InvalidData: one is absent, or both are the same.
    """
    for wanted, option in ((text, "text_column"), (label, "label_column")):
        if wanted is not None and wanted not in names:
            close = close_name(wanted, names)
            guess = f"Did you mean '{close}'?" if close else f"Set the dataset node's `{option}` to one of them."
            raise InvalidData(
                f"{place} has no column '{shortened(wanted)}'; it has: {listed_names(names)}.", cure=guess
            )
    if text is not None and text == label:
        raise InvalidData(
            f"`text_column` and `label_column` of {place} are the same column, '{shortened(text)}'.",
            cure="Name the column of the label, or of the answer, in `label_column`.",
        )


def find_text(place: str, sample: Sequence[dict[str, Any]], text: str | None) -> Columns:
    """Choose the column of texts that have no labels: as the user named it, the only one, or by names and cells.

    Raises:
        InvalidData: the named column is absent, or none, or several, can be told to be the text.
    """
    names = list(dict.fromkeys(name for row in sample for name in row))
    check_named(place, names, text, None)
    columns = [evidence_of(name, sample) for name in names]
    only = _Choice(names[0], f"'{names[0]}' is the only column") if len(names) == 1 else None
    found = _Choice(text, f"'{text}' is set as the text") if text else only or _text(place, columns, None, True)
    if found is None:
        raise InvalidData(
            f"{place} has no column that is known to be the text; it has: {listed_names(names)}.",
            cure="Set the dataset node's `text_column` to one of them (`-p text_column=...`).",
        )
    return Columns(names, found.name, "", "text", why=f"{found.why}.")


def _refuse_one(place: str, name: str) -> NoReturn:
    raise InvalidData(
        f"{place} has one column only, '{shortened(name)}': texts without labels or answers.",
        cure="Add a column with the label (classification) or the answer (sft) of each text. Lines with both are read "
        "where a tab, or one `;` or `|`, is between them.",
    )


def _text(place: str, columns: Sequence[Evidence], label: str | None, has_header: bool) -> _Choice | None:
    """Return the column of the text; None: the one beside the label's, if there are but two."""
    others = [one for one in columns if one.name != label]
    known = _known(TEXT_NAMES, others)
    fitting = [one for one in known if one.is_text]
    if fitting and (better := [one for one in others if _is_rather_text(one, fitting[0])]):
        _refuse_several(place, [fitting[0], *better], "text_column")
    if sure := next((one for one in fitting if one.name.strip().casefold() in SURE_TEXTS), None):
        return _Choice(sure.name, f"'{sure.name}' is the text by its name")
    if fitting:
        return _longest(place, fitting, "is the text by its name")
    taken = {name for name in (label, *(one.name for one in _known(LABEL_NAMES, others))) if name}
    free = [one for one in others if one.name not in taken and not _is_about(one)]
    if long := [one for one in free if one.holds == "texts" and one.distinct > 1]:
        against = f", and {_unlike(known)}" if known else ""
        various = [one for one in long if not one.is_label] or long
        return _longest(place, various, f"is the text, since it holds texts{against}")
    if known:
        return _Choice(known[0].name, f"'{known[0].name}' is the text by its name, though it holds {known[0].holds}")
    if not has_header and len(columns) > 1:
        return _longest(
            place, [one for one in free if one.is_text and one.distinct > 2] or free, "has the longest cells"
        )
    return None


def _is_rather_text(column: Evidence, known: Evidence) -> bool:
    """Say whether a column has texts of its own in most rows, where the known text has few different short values."""
    few = known.is_label and known.filled >= TELLING_ROWS and known.holds == "values"
    return few and column.holds == "texts" and 2 * column.distinct > column.filled


def _longest(place: str, columns: Sequence[Evidence], why: str) -> _Choice:
    """Return the column of clearly longer texts than those of the others.

    Raises:
        InvalidData: there is none.
    """
    first, *others = sorted(columns, key=lambda one: -one.characters)
    if others and first.characters < CLEARLY_LONGER * others[0].characters:
        _refuse_several(place, columns, "text_column")
    longer = f" and is the longer beside {listed_names([one.name for one in others])}" if others else ""
    return _Choice(first.name, f"'{first.name}' {why}{longer}")


def _label(place: str, columns: Sequence[Evidence]) -> _Choice | None:
    """Return the column of the label; None: the one beside the text's, if there are but two."""
    known = _known(LABEL_NAMES, columns)
    fitting = [one for one in known if _may_be_label(one)]
    if sure := next((one for one in fitting if one.name.strip().casefold() in SURE_LABELS), None):
        return _Choice(sure.name, f"'{sure.name}' is the label by its name")
    if fitting:
        return _only(place, fitting, "is the label by its name")
    free = [one for one in columns if one not in known and not _is_about(one)]
    if few := [one for one in free if one.is_label]:
        against = f", and {_unlike(known)}" if known else ""
        # What has one value in the first rows may be the label of a file that is sorted by it.
        few += [one for one in free if one.is_constant and one.filled >= SAMPLE_ROWS]
        return _only(place, few, f"is the label, since it has few different values{against}")
    if known:
        return _Choice(known[0].name, f"'{known[0].name}' is the label by its name")
    return None


def _only(place: str, columns: Sequence[Evidence], why: str) -> _Choice:
    """Return the only column.

    Raises:
        InvalidData: there are several.
    """
    if len(columns) > 1:
        _refuse_several(place, columns, "label_column")
    return _Choice(columns[0].name, f"'{columns[0].name}' {why}")


def _refuse_several(place: str, columns: Sequence[Evidence], option: str) -> NoReturn:
    shown = ", ".join(one.shown() for one in columns[:LISTED])
    more = f" and {len(columns) - LISTED} more" if len(columns) > LISTED else ""
    name = columns[0].name
    typed = as_typed(option, name) if shortened(name) == name else f"-p {option}=..."
    raise InvalidData(
        f"{place} has several columns that may be {WORDS[option]}: {shown}{more}.",
        cure=f"Set the dataset node's `{option}` to the one meant (`{typed}`).",
    )


def _may_be_label(column: Evidence) -> bool:
    """Say whether nothing in a column speaks against the label that its name makes it."""
    if column.holds in NO_LABELS and column.filled >= TELLING_ROWS:
        return False
    if column.holds in ("e-mail addresses", "links", "names of files", "objects"):
        return False
    if column.filled >= TELLING_ROWS and column.distinct == column.filled and column.holds not in ("numbers", "lists"):
        return False
    return column.distinct > 1 or not 3 <= column.filled < SAMPLE_ROWS


def _other(found: _Choice | None, columns: Sequence[Evidence], *, label: bool = False) -> _Choice | None:
    """Return the other one of two columns; as a label not one that counts the rows or tells of them."""
    if found is None or len(columns) != 2:
        return None
    other = next(one for one in columns if one.name != found.name)
    if label and (other.counts or other.holds in ("dates", "ids") or (_is_about(other) and not other.is_label)):
        return None
    return _Choice(other.name, f"'{other.name}' is the other of two columns")


def _known(known: Sequence[str], columns: Iterable[Evidence]) -> list[Evidence]:
    """Return the columns with known names, the surest first."""
    by_name: dict[str, Evidence] = {}
    for one in columns:
        by_name.setdefault(one.name.strip().casefold(), one)
    return [by_name[name] for name in known if name in by_name]


def _is_about(column: Evidence) -> bool:
    return is_harmless(column.name) or column.name.strip().casefold() in ABOUT_NAMES


def _unlike(known: Sequence[Evidence]) -> str:
    """Say what columns hold that are called as if they were meant."""
    told = [
        f"'{one.name}' holds {'one value' if one.distinct == 1 and one.filled > 1 and one.is_text else one.holds}"
        for one in known[:LISTED]
    ]
    return ", ".join(told)


def first_records(records: Iterator[RawRecord | Broken], characters: int) -> Iterator[RawRecord | Broken]:
    """Yield the first records of a file, up to 200, and of long ones fewer."""
    for count, record in enumerate(records, start=1):
        yield record
        if isinstance(record, RawRecord):
            characters -= record.characters or sum(
                len(cell) for cell in record.values.values() if isinstance(cell, str)
            )
        if count == SAMPLE_ROWS or characters <= 0:
            return
