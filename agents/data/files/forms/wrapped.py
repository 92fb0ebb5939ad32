"""Rows whose columns lie one object deeper, as search engines and web interfaces answer them."""

from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, Values
from agents.data.files.names import TEXT_NAMES

#: Columns of conversations: a row that has one is read as it is.
OF_CONVERSATIONS = frozenset(
    {
        "messages",
        "conversations",
        "conversation",
        "instruction",
        "prompt",
        "completion",
        "chosen",
        "rejected",
        "contents",
    }
)
TEXTS = frozenset(TEXT_NAMES)


def _inside(values: Values) -> str | None:
    """Return the only object of a record that has a column of texts, where the record itself has none."""
    if not (TEXTS | OF_CONVERSATIONS).isdisjoint(key.casefold() for key in values):
        return None
    inner = [key for key, value in values.items() if isinstance(value, dict) and not _names(value).isdisjoint(TEXTS)]
    return inner[0] if len(inner) == 1 else None


def _names(value: Values) -> set[str]:
    return {str(key).casefold() for key, cell in value.items() if isinstance(cell, str)}


def _wrapped(values: Values) -> Iterator[dict[str, Any]]:
    """Yield the columns inside, and those beside them that have other names."""
    key = _inside(values)
    if key is not None:
        yield {**{name: value for name, value in values.items() if name != key}, **values[key]}


WRAPPED = Form("columns inside an object", lambda values: _inside(values) is not None, _wrapped)
