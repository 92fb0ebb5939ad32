"""The first line of a table: names of columns, or a row."""

import re
from collections.abc import Sequence

from agents.data.files.names import KNOWN_NAMES, SURE_LABELS, SURE_TEXTS

#: A longer first cell is not the name of a column.
NAME_CHARACTERS, NAME_WORDS = 64, 6
NAMELESS = "column_"
#: How a sentence ends, but a question: forms have questions as the names of columns.
SENTENCE_END = re.compile(r"[.!\u3002\uff01]$")


def is_header(rows: Sequence[Sequence[str]], wanted: set[str]) -> bool:
    """Tell names from data: a first row of which a cell stands again below it is a row, whatever the cell is.

    Else one with known names is a header, and one with numbers or sentences is none. `wanted`: names that the user
    gave, which make a header.
    """
    first = [cell.strip().casefold() for cell in rows[0]]
    named = set(first)
    if named & {name.strip().casefold() for name in wanted}:
        return True
    if named & set(SURE_TEXTS) and named & set(SURE_LABELS):
        return True
    later = {(place, cell.strip().casefold()) for row in rows[1:] for place, cell in enumerate(row) if cell.strip()}
    if any((place, cell) in later for place, cell in enumerate(first)):
        return False
    return bool(named & KNOWN_NAMES) or _is_count(first, later) or not any(map(_is_data, first))


def _is_count(first: Sequence[str], later: set[tuple[int, str]]) -> bool:
    """Say whether a first row only counts the columns, as pandas does where they have no names."""
    counted = [cell for cell in first if cell]
    if len(counted) < 2 or counted != [str(number) for number in range(len(counted))]:
        return False
    return not all(_is_number(cell) for _, cell in later)


def _is_data(cell: str) -> bool:
    if len(cell) > NAME_CHARACTERS or _is_number(cell):
        return True
    return bool(SENTENCE_END.search(cell)) or (len(cell.split()) > NAME_WORDS and not cell.endswith("?"))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def column_names(header: Sequence[str]) -> list[str]:
    """Name nameless columns by their place, from 1, and number repeated names."""
    names: dict[str, None] = {}
    for place, cell in enumerate(header, start=1):
        name = cell.strip() or f"{NAMELESS}{place}"
        while name in names:
            name = f"{name}_{place}"
        names[name] = None
    return list(names)
