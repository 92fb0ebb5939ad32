"""YAML as plain data, built event by event: what an alias or a merge key stands for is counted before it is there.

PyYAML's own constructors count nothing: a few hundred bytes of aliases, merge keys or numbers to base 60 keep them busy
for minutes.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from agents.base.budgets import SPEC

#: Begins the names of the tags that YAML itself knows.
TAG = "tag:yaml.org,2002:"
#: `5e-5` is a number too, as in JSON and YAML 1.2; PyYAML asks for a point.
EXPONENT = re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$")
BOOLEANS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
SIZES = (
    f"a spec has at most {SPEC.values:,} values, nested {SPEC.depth} deep, and {SPEC.characters:,} characters, with "
    "aliases and parameters in place"
)


class _Events(yaml.CSafeLoader):
    """The events of a text. Dates stay the text they are written as: nothing in a spec is a date."""


_Events.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag not in (f"{TAG}timestamp", f"{TAG}value")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Events.add_implicit_resolver(f"{TAG}float", EXPONENT, list("-+0123456789"))


def read_yaml(text: str | bytes) -> Any:
    """Return what a YAML text says.

    Raises:
        yaml.YAMLError: it is not YAML, has a key twice, or says more than a spec may. UnicodeError: it is not UTF-8.
    """
    return _Builder(_Events(text)).document()


@dataclass(frozen=True)
class _Built:
    """A value, and what it counts for wherever an alias names it."""

    value: Any
    values: int
    characters: int
    height: int


class _Builder:
    def __init__(self, events: Any) -> None:
        self._events = events
        self._anchors: dict[str, _Built | None] = {}
        """None: it is not whole yet."""
        self._values = 0
        self._characters = 0

    def document(self) -> Any:
        self._next()
        if self._ends(yaml.StreamEndEvent):
            return None
        self._next()
        found = self._of(self._next(), 0)
        self._next()
        if not self._ends(yaml.StreamEndEvent):
            raise _fault(self._next(), "there is a second document; a spec is one")
        return found.value

    def _next(self) -> Any:
        return self._events.get_event()

    def _ends(self, kind: type[yaml.Event]) -> bool:
        return bool(self._events.check_event(kind))

    def _of(self, event: Any, depth: int) -> _Built:
        """Return the value that begins with an event."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        values, characters = self._values, self._characters
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._count(event, 1, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0, depth)
        value, height = self._value(event, depth)
        found = _Built(value, self._values - values, self._characters - characters, height)
        if event.anchor is not None:
            self._anchors[event.anchor] = found
        return found

    def _alias(self, event: Any, depth: int) -> _Built:
        if event.anchor not in self._anchors:
            raise _fault(event, f"there is no anchor '{event.anchor[:100]}' before this")
        found = self._anchors[event.anchor]
        if found is None:
            raise TooMuch(None, None, f"'{event.anchor[:100]}' has itself in it; {SIZES}", event.start_mark)
        self._count(event, found.values, found.characters, depth + found.height)
        return found

    def _count(self, event: Any, values: int, characters: int, depth: int) -> None:
        self._values += values
        self._characters += characters
        if depth > SPEC.depth:
            raise TooMuch(None, None, f"it is nested too deep; {SIZES}", event.start_mark)
        if self._values > SPEC.values or self._characters > SPEC.characters:
            raise TooMuch(None, None, f"it says too much; {SIZES}", event.start_mark)

    def _value(self, event: Any, depth: int) -> tuple[Any, int]:
        """Return a value, and how deep it is nested itself."""
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, self._tag(event)), 0
        if isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event, "seq")
            return self._sequence(depth)
        _check_tag(event, "map", "set")
        found, height = self._mapping(depth)
        return set(found) if event.tag == f"{TAG}set" else found, height

    def _tag(self, event: Any) -> str:
        if event.tag is None or event.tag == "!":
            return str(self._events.resolve(yaml.ScalarNode, event.value, event.implicit))
        return str(event.tag)

    def _sequence(self, depth: int) -> tuple[list[Any], int]:
        found, height = [], 0
        while not self._ends(yaml.SequenceEndEvent):
            item = self._of(self._next(), depth + 1)
            found.append(item.value)
            height = max(height, 1 + item.height)
        self._next()
        return found, height

    def _mapping(self, depth: int) -> tuple[dict[Any, Any], int]:
        found: dict[Any, Any] = {}
        merged: dict[Any, Any] | None = None
        names: set[str] = set()
        height = 0
        while not self._ends(yaml.MappingEndEvent):
            event = self._next()
            merges = isinstance(event, yaml.ScalarEvent) and self._tag(event) == f"{TAG}merge"
            key = event.value if merges else self._of(event, depth + 1).value
            _check_key(event, key, found, names)
            item = self._of(self._next(), depth + 1)
            height = max(height, 1 + item.height)
            if merges:
                merged = _merged(event, item.value)
            else:
                found[key] = item.value
            names.add(str(key))
        self._next()
        return found if merged is None else {**merged, **found}, height


# -- faults -----------------------------------------------------------------------------------------


class TooMuch(yaml.MarkedYAMLError):
    """It is YAML, and says more than a spec may."""


def _fault(event: Any, problem: str) -> ConstructorError:
    return ConstructorError(None, None, problem, event.start_mark)


def _check_tag(event: Any, *known: str) -> None:
    if event.tag not in (None, "!", *(f"{TAG}{name}" for name in known)):
        raise _fault(event, f"a spec has no values of the tag '{event.tag[:100]}'")


def _check_key(event: Any, key: Any, found: Mapping[Any, Any], names: set[str]) -> None:
    if isinstance(key, list | dict | set):
        raise _fault(event, "a list or a mapping can't be a key")
    if key in found or str(key) in names:
        raise _fault(event, f"the key '{str(key)[:100]}' is there twice")


def _merged(event: Any, value: Any) -> dict[Any, Any]:
    """Return what a merge key brings; of several mappings the first that has a key gives its value."""
    mappings = value if isinstance(value, list) else [value]
    found: dict[Any, Any] = {}
    for mapping in reversed(mappings):
        if not isinstance(mapping, dict):
            raise _fault(event, "what `<<` names is not a mapping, or a list of mappings")
        found |= mapping
    return found


# -- scalars ----------------------------------------------------------------------------------------


def _scalar(event: Any, tag: str) -> Any:
    """Return the value of a scalar.

    Raises:
        ConstructorError: there is none of this tag, or a number is too long.
    """
    text = event.value
    kind = tag.removeprefix(TAG)
    if kind in ("str", "merge"):
        return text
    if kind == "null":
        return None
    if kind in ("int", "float") and len(text) > SPEC.number_characters:
        raise _fault(event, f"a number has at most {SPEC.number_characters} characters; write longer ones in quotes")
    try:
        return SCALARS[kind](text)
    except (ValueError, KeyError, OverflowError) as fault:
        raise _fault(event, f"'{text[:100]}' is not a value of the tag '{tag[:100]}'") from fault


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if ":" in digits:
        return sign * int(_to_base_60(digits))
    for start, base in (("0b", 2), ("0x", 16), ("0", 8)):
        if digits.startswith(start) and digits != "0":
            return sign * int(digits.removeprefix(start) if base != 8 else digits, base)
    return sign * int(digits)


def _float(text: str) -> float:
    digits = text.replace("_", "").lower()
    sign = -1.0 if digits.startswith("-") else 1.0
    digits = digits.lstrip("+-")
    if digits in (".inf", ".nan"):
        return sign * float(digits[1:])
    return sign * float(_to_base_60(digits) if ":" in digits else digits)


def _to_base_60(digits: str) -> float:
    found: float = 0
    for part in digits.split(":"):
        found = found * 60 + (float(part) if "." in part else int(part))
    return found


SCALARS: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: BOOLEANS[text.lower()],
    "int": _integer,
    "float": _float,
    "binary": lambda text: base64.b64decode(text, validate=False),
}
