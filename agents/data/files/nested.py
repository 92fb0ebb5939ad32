"""Where the rows of a JSON document lie: in a list, in one of several, in its splits, deeper, or in columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from agents.base.errors import InvalidData
from agents.data.files.names import LABEL_NAMES, TEXT_NAMES, listed_names
from agents.data.files.splits import SplitName, choose, split_of

#: Objects inside each other that are looked into.
DEPTH = 6
#: Lists of rows that others are told apart from, by the last part of their path.
ROWS_NAMES = frozenset(
    {
        *("rows", "data", "examples", "records", "items", "samples", "instances", "entries", "results", "documents"),
        *("texts", "utterances", "sentences", "questions", "reviews", "comments", "tweets", "dialogues", "dialogs"),
    }
)
KNOWN_NAMES = frozenset({*TEXT_NAMES, *LABEL_NAMES})
#: A list of turns is a part of a row.
TURNS = frozenset({"messages", "conversations", "conversation", "contents", "turns", "dialogue", "dialog", "history"})
TURN_KEYS = ({"role", "content"}, {"from", "value"}, {"role", "parts"}, {"role", "tool_calls"})
NOT_MEANT = "another list of the document was named or meant"


class Rows(NamedTuple):
    """One list of rows in a document. `path`: where it lies, `""` for the document itself."""

    path: str
    values: Sequence[Any]
    split: SplitName | None = None


class Lists(NamedTuple):
    """What of a document is rows, and which lists are left out, with the reason."""

    taken: list[Rows]
    left_out: dict[str, str] = {}


def find_lists(name: str, document: Any, part: str | None = None) -> Lists:
    """Return the lists of rows in a JSON document. `part`: the path of the list that is meant, such as `data.rows`.

    It is a list itself, an object with lists that are named by splits, with one list of objects, however deep, or
    an object of columns.

    Raises:
        InvalidData: there is no such list, or there are several; with their paths.
    """
    if isinstance(document, list):
        return Lists([Rows("", document)])
    if not isinstance(document, dict):
        raise _no_list(name, document)
    if is_row(document):
        return Lists([Rows("", [document])])
    found = dict(_lists(document, "", DEPTH))
    if part is not None:
        return _named(name, found, part)
    by_split = any(map(split_of, found))
    if not by_split and (columns := columns_of(document)) is not None:
        return Lists([Rows("", columns)])
    if not found:
        raise _no_list(name, document)
    if by_split:
        choice = choose(found)
        taken = [Rows(path, found[path], split) for path, split in choice.taken.items()]
        taken.sort(key=lambda rows: ("train", None, "validation", "test").index(rows.split))
        return Lists(taken, dict(choice.left_out))
    return _only(name, found)


def is_row(values: Mapping[str, Any]) -> bool:
    """Say whether an object is a row itself: one of its lists is a conversation."""
    return any(
        key in TURNS and isinstance(turns, list) and turns and all(map(_is_turn, turns))
        for key, turns in values.items()
    )


def columns_of(document: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of an object of columns: lists of one length, or objects by number of row, as pandas writes them;
    or of an object of rows by their number or name. None: it is neither."""
    values = list(document.values())
    if len(values) > 0 and all(isinstance(value, dict) and value for value in values):
        return _of_objects(document, values)
    if not values or not all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        return None
    tables = [key for key, value in document.items() if value and isinstance(value[0], dict)]
    if len(tables) == len(values) or not ROWS_NAMES.isdisjoint(key.lower() for key in tables):
        return None
    return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]


def _of_objects(document: Mapping[str, Any], values: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Tell rows by their number or name from columns by number of row: known names of columns are inside or outside."""
    if not all(value.keys() == values[0].keys() for value in values):
        return values if all(map(str.isdecimal, document)) else None
    if any(
        isinstance(cell, dict) or (isinstance(cell, list) and cell and isinstance(cell[0], dict))
        for value in values
        for cell in value.values()
    ):
        return None
    outside, inside = (_column_names(names) for names in (document, values[0]))
    if inside > outside or (inside == outside and len(values) > len(values[0])):
        return values
    cells = [list(value.values()) for value in values]
    return [dict(zip(document, row, strict=True)) for row in zip(*cells, strict=True)]


def _column_names(names: Iterable[str]) -> int:
    """Return how much names are those of columns: known ones more than others, and numbers not at all."""
    plain = [name.strip().casefold() for name in names]
    known = not KNOWN_NAMES.isdisjoint(plain)
    return 2 if known else 0 if all(map(str.isdecimal, plain)) else 1


def _lists(document: Mapping[str, Any], above: str, depth: int) -> Iterator[tuple[str, Sequence[Any]]]:
    for key, value in document.items():
        path = f"{above}.{key}" if above else key
        if isinstance(value, list):
            if value and (isinstance(value[0], dict) or _is_pair(value[0])):
                yield path, value
        elif isinstance(value, dict) and depth:
            is_table = split_of(key) or (len(value) > 1 and all(isinstance(cell, list) for cell in value.values()))
            columns = columns_of(value) if is_table else None
            if columns and not is_row(value):
                yield path, columns
            elif not is_row(value):
                yield from _lists(value, path, depth - 1)


def _is_pair(row: Any) -> bool:
    """Say whether a list is a row without names, such as a text and its label."""
    return isinstance(row, list) and len(row) > 1 and not any(isinstance(cell, list | dict) for cell in row)


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and any(keys <= value.keys() for keys in TURN_KEYS)


def _named(name: str, found: Mapping[str, Sequence[Any]], part: str) -> Lists:
    wanted = [path for path in found if fnmatchcase(path, part)]
    if not wanted:
        raise InvalidData(
            f"'{name}' has no list of rows '{part}'; it has: {listed_names(list(found))}.",
            cure="Set `part` of the dataset node to one of them.",
        )
    splits = choose(wanted).taken
    return Lists(
        [Rows(path, found[path], splits.get(path)) for path in wanted],
        {path: NOT_MEANT for path in found if path not in wanted},
    )


def _only(name: str, found: Mapping[str, Sequence[Any]]) -> Lists:
    """Return the only list, or the only one with a name of rows."""
    known = [path for path in found if path.rpartition(".")[2].lower() in ROWS_NAMES]
    meant = list(found) if len(found) == 1 else known
    if len(meant) != 1:
        told = ", ".join(f"'{path}' ({len(rows):,})" for path, rows in list(found.items())[:20])
        raise InvalidData(
            f"'{name}' holds several lists, and none has a name of rows or of a split: {told}.",
            cure="Set `part` of the dataset node to one of them, or write its rows as JSON lines.",
        )
    left_out = {path: NOT_MEANT for path in found if path not in meant}
    return Lists([Rows(meant[0], found[meant[0]])], left_out)


def _no_list(name: str, document: Any) -> InvalidData:
    return InvalidData(
        f"'{name}' holds {json_type(document)} without a list of rows.",
        cure="Write a list of objects, or one object a line (JSON lines).",
    )


def json_type(value: Any) -> str:
    """Name the type of a JSON value as JSON does."""
    words = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return words.get(type(value), "a number")
