"""JSON that every reader takes: no halves of characters, no NaN, no unknown types, and bounds where one wants some.

`encode` is the way to what is kept and sent, `decode` the way back. What JSON can't hold is replaced and counted, what
is beyond the bounds is cut and counted; a value that is fine costs no more than `json.dumps` itself.
"""

import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

#: In place of a number that JSON has no word for; read as that number where a record's field is one.
NOT_A_NUMBER = "NaN"
#: What strict readers refuse in a JSON text: the words that Python's encoder has for numbers, half of a character, and
#: a number that is as good as infinite.
SUSPECT = re.compile(r"NaN|Infinity|\\u[dD][89a-fA-F]|[0-9][eE]\+?[0-9]{3}|[0-9]{300}")
#: `json.dumps` would make another one for each value.
PLAIN = json.JSONEncoder(allow_nan=False)
#: The longest key of a mapping, in characters.
KEY_MOST = 200


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a value may be. Characters are those of its texts and keys; each value counts as one at least."""

    characters: int
    text_characters: int
    depth: int


#: Of what must not be cut: only what nobody can read is refused.
WHOLE = Bounds(1 << 62, 1 << 62, 100)
#: Of a log record's fields, of progress and of errors.
RECORD = Bounds(16_384, 8_192, 16)


class Cleaned(NamedTuple):
    """A value that strict JSON can hold, and what was done to it."""

    value: Any
    replaced: int = 0
    """Values that JSON can't hold, now text."""
    cut: int = 0
    """Values that were shortened or left out."""


class Encoded(NamedTuple):
    """The same as text."""

    text: str
    replaced: int = 0
    cut: int = 0


def encode(value: Any, bounds: Bounds = WHOLE) -> Encoded:
    """Return any value as strict JSON in ASCII. Never raises."""
    text = _plain_text(value, bounds)
    if text is not None:
        return Encoded(text)
    found = _clean(value, bounds)
    return Encoded(PLAIN.encode(found.value), found.replaced, found.cut)


def clean(value: Any, bounds: Bounds = WHOLE) -> Cleaned:
    """Return any value as what strict JSON can hold; the value itself where it can. Never raises."""
    return Cleaned(value) if _plain_text(value, bounds) is not None else _clean(value, bounds)


def decode(text: bytes | str, bounds: Bounds = WHOLE) -> Cleaned:
    """Return what a JSON text says, also one that Python's own encoder wrote with NaN in it.

    Raises:
        ValueError: it is not JSON, or not UTF-8.
    """
    written = text if isinstance(text, str) else text.decode()
    written.encode()
    try:
        value = json.loads(written)
    except RecursionError as fault:
        raise ValueError("it is nested too deep") from fault
    if SUSPECT.search(written) is None and len(written) <= bounds.characters and _is_flat(written, bounds):
        return Cleaned(value)
    return _clean(value, bounds)


def _plain_text(value: Any, bounds: Bounds) -> str | None:
    """Return a value's JSON where nothing has to be done to it; None where something may have to be."""
    try:
        text = PLAIN.encode(value)
    except (TypeError, ValueError, RecursionError):
        return None
    # Halves of characters are escaped so; whole ones beyond the first 65,536 too, which are then looked at one by one.
    return text if len(text) <= bounds.characters and "\\ud" not in text and _is_flat(text, bounds) else None


def _is_flat(text: str, bounds: Bounds) -> bool:
    """Say whether a text has too few brackets to be nested deeper than the bounds."""
    return text.count("{") + text.count("[") <= bounds.depth


def _clean(value: Any, bounds: Bounds) -> Cleaned:
    cleaner = _Cleaner(bounds)
    found = cleaner.of(value, 0)
    return Cleaned(found, cleaner.replaced, cleaner.cut)


class _Cleaner:
    """Walks through a value once; what it gives it would give back unchanged."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.left = bounds.characters
        self.replaced = 0
        self.cut = 0

    def of(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if isinstance(value, numbers.Real):
            value = plain_number(value)
        if value is None or isinstance(value, bool | int | float):
            value = self.scalar(value)
        elif isinstance(value, Mapping | list | tuple | set | frozenset):
            if depth < self.bounds.depth:
                return self.mapping(value, depth) if isinstance(value, Mapping) else self.items(value, depth)
            self.cut += 1
            value = "..."
        elif not isinstance(value, str):
            self.replaced += 1
            value = _said(value)
        return self.text(value) if isinstance(value, str) else value

    def scalar(self, value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            self.replaced += 1
            return NOT_A_NUMBER if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1024:
            # No reader has numbers so large, and Python itself refuses to write or read them from some length on.
            self.replaced += 1
            return f"a whole number of {value.bit_length():,} bits"
        return value

    def text(self, value: str) -> str:
        found = self.shortened(value, max(0, min(self.bounds.text_characters, self.left)))
        self.left -= len(found)
        return found

    def shortened(self, value: str, most: int) -> str:
        whole = whole_characters(value)
        self.replaced += whole is not value
        if len(whole) <= most:
            return whole
        self.cut += 1
        mark = f"... ({len(whole):,} characters)"
        return whole[: most - len(mark)] + mark if most > len(mark) else whole[:most]

    def mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, below in list(value.items()):
            if self.left <= 0:
                self.cut += len(value) - len(found)
                break
            found[self.key(key, found)] = self.of(below, depth + 1)
        return found

    def items(self, value: Iterable[Any], depth: int) -> list[Any]:
        found: list[Any] = []
        given = list(value)
        for below in given:
            if self.left <= 0:
                self.cut += len(given) - len(found)
                break
            found.append(self.of(below, depth + 1))
        return found

    def key(self, key: Any, taken: Mapping[str, Any]) -> str:
        if not isinstance(key, str):
            # As Python's own encoder writes those that it takes.
            plain = key is None or isinstance(key, bool | int | float)
            self.replaced += not plain
            key = json.dumps(self.scalar(key)).strip('"') if plain else _said(key)
        name = first = self.shortened(key, KEY_MOST)
        number = 1
        while name in taken:
            number += 1
            mark = f"~{number}"
            name = first[: KEY_MOST - len(mark)] + mark
        self.left -= len(name)
        return name


def plain_number(value: Any) -> int | float | bool:
    """Return a number of any library as Python's own; one that is too large for it as infinity."""
    if isinstance(value, bool | int | float):
        return value
    try:
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def finite_number(value: Any) -> int | float | None:
    """Return a number that has a place among floats as Python's own; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        found = plain_number(value)
        return found if math.isfinite(found) else None
    except (OverflowError, ValueError):
        return None


def whole_characters(text: str) -> str:
    """Return a text with a mark in place of each half of a character; the same object where there are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _said(value: Any) -> str:
    """Return a value that JSON has no kind for as text."""
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    try:
        return str(value)
    except Exception:
        # It is another's class: whatever it raises must not stop a record.
        return f"a {type(value).__name__}"
