"""Rows with token labels: a list of words and one of their tags, places in a text, or a word and its tag a row."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.base.errors import InvalidData
from agents.data.files.token_labels import CURE, FEWEST_LINES, SHARE, SPAN_TAG
from agents.data.labels import written_list

TAGS_NAME = re.compile(r"(?:^|_)(?:tags?|labels?|ner|pos|iob|bio|entities|spans)(?:$|_)", re.IGNORECASE)
#: How objects call the place of an entity.
SPAN_KEYS = (("start", "end"), ("start_offset", "end_offset"), ("begin", "end"))


def refuse_token_rows(place: str, sample: Sequence[Mapping[str, Any]]) -> None:
    """Refuse rows with token labels.

    Raises:
        InvalidData: with what to do instead.
    """
    rows = [{name: _listed(cell) for name, cell in row.items()} for row in sample]
    lists = {name for row in rows for name, cell in row.items() if isinstance(cell, list) and cell}
    for name in dict.fromkeys(name for row in rows for name in row):
        if what := _in_lists(rows, name, lists) if name in lists else _in_words(rows, name):
            raise InvalidData(
                f"{place} has token labels: '{name}' holds {what}. No task learns token labels.", cure=CURE
            )


def _listed(cell: Any) -> Any:
    """Return a list that a table has as text as the list that it is."""
    found = written_list(cell.strip()) if isinstance(cell, str) and cell.startswith("[") else None
    return cell if found is None else found


def _in_words(rows: Sequence[Mapping[str, Any]], name: str) -> str | None:
    """Say of a column of tags such as `B-person` and `O` what it holds; None: it is none."""
    cells = [cell for row in rows if isinstance(cell := row.get(name), str) and cell]
    tags = [cell for cell in cells if SPAN_TAG.match(cell)]
    tagged = len(cells) >= FEWEST_LINES and len(tags) >= SHARE * len(cells)
    return "the tag of a word in each row" if tagged and "O" in tags and len(set(tags)) > 1 else None


def _in_lists(rows: Sequence[Mapping[str, Any]], name: str, lists: set[str]) -> str | None:
    """Say of a column of lists of tags what it holds; None: it is none."""
    if not TAGS_NAME.search(name):
        return None
    cells = [cell for row in rows if isinstance(cell := row.get(name), list) and cell]
    if words := next((other for other in sorted(lists - {name}) if _are_words(rows, other, name)), None):
        return f"one for each word of '{words}'"
    values = [one for cell in cells for one in cell]
    if all(map(_is_span, values)):
        return "places in the text with a label each"
    tags = [one for one in values if isinstance(one, str) and SPAN_TAG.match(one)]
    return "a tag for each word" if len(tags) == len(values) and "O" in tags and len(set(tags)) > 1 else None


def _are_words(rows: Sequence[Mapping[str, Any]], words: str, tags: str) -> bool:
    """Say whether a column has as many words in each row as another one has tags."""
    pairs = [(row.get(words), row.get(tags)) for row in rows if row.get(tags)]
    return any(len(tag) > 1 for _, tag in pairs if isinstance(tag, list)) and all(
        isinstance(word, list)
        and isinstance(tag, list)
        and len(word) == len(tag)
        and all(isinstance(one, str) for one in word)
        and all(isinstance(one, str | int) for one in tag)
        for word, tag in pairs
    )


def _is_span(value: Any) -> bool:
    """Say whether a value is the place of an entity: `[0, 4, "person"]`, or an object with `start` and `end`."""
    if isinstance(value, list):
        return len(value) == 3 and [type(one) for one in value] == [int, int, str]
    return isinstance(value, dict) and any({begin, end} <= set(value) for begin, end in SPAN_KEYS)
