"""What a known form of rows is: whose it is, how it is known, and what records it becomes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Values = Mapping[str, Any]


class Form(NamedTuple):
    """A form that tools write. `matches` looks at one record or document, `rows` gives the records that it becomes."""

    name: str
    matches: Callable[[Values], bool]
    rows: Callable[[Values], Iterable[dict[str, Any]]]


class NotForUs(ValueError):
    """A form that is known and not learned from; the message says what it is and what to do instead."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.cure = cure


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list from outside; nothing where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def one_or_all(labels: list[str]) -> str | list[str] | None:
    """Return a label, several, or None where there is none."""
    return (labels[0] if len(labels) == 1 else labels) if labels else None
