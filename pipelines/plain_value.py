"""Values that JSON can hold, and no more of them than a spec may have."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from agents.base.budgets import SPEC
from agents.base.errors import InvalidSpec

Report = Callable[[str, str], None]


def plain_value(value: Any, report: Report, path: str = "") -> Any:
    """Return a spec with text in place of all that JSON can't hold, after reporting each with its path.

    Raises:
        InvalidSpec: it is nested too deep, or has more values or characters than a spec can have.
    """
    return _Plain(report).of(value, _Path(None, path, len(path)), 0)


class _Path(NamedTuple):
    """The way to a value, put together only where a fault is told: there are many values, and keys may be long."""

    before: "_Path | None"
    part: str
    characters: int

    def key(self, name: str) -> "_Path":
        return _Path(self, f".{name}" if self.characters else name, self.characters + len(name) + 1)

    def item(self, place: int) -> "_Path":
        part = f"[{place}]"
        return _Path(self, part, self.characters + len(part))

    def __str__(self) -> str:
        parts, at = [], self
        while at.before is not None:
            parts.append(at.part)
            at = at.before
        return "".join(reversed([*parts, at.part]))


class _Plain:
    def __init__(self, report: Report) -> None:
        self._tell = report
        self._values = 0
        self._characters = 0

    def of(self, value: Any, path: _Path, depth: int) -> Any:
        self._count(path.characters + (len(value) if isinstance(value, str | bytes) else 0), depth)
        if isinstance(value, Mapping):
            names = {key: self._key(key, path) for key in value}
            if len(set(names.values())) < len(names):
                self._report(path, "two of the keys are the same text; write one of them otherwise")
            return {name: self.of(value[key], path.key(name), depth + 1) for key, name in names.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, path.item(place), depth + 1) for place, item in enumerate(value)]
        return self._text(value, path) if isinstance(value, str) else self._scalar(value, path)

    def _count(self, characters: int, depth: int) -> None:
        self._values += 1
        self._characters += characters
        if self._values > SPEC.values or depth > SPEC.depth or self._characters > SPEC.path_characters:
            raise InvalidSpec(
                f"A spec has at most {SPEC.values:,} values, nested {SPEC.depth} deep, and {SPEC.path_characters:,} "
                "characters with the paths to its values.",
                cure="Name a file or an uploaded dataset instead of writing rows into it.",
            )

    def _scalar(self, value: Any, path: _Path) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            self._report(path, f"{value} is not a number that can be stored")
            return None
        if isinstance(value, int) and value.bit_length() >= SPEC.integer_bits:
            self._report(
                path, f"a whole number has at most {SPEC.integer_bits} bits; write longer ones as text, in quotes"
            )
            return None
        if value is None or isinstance(value, int | float):
            return value
        self._report(path, f"a {type(value).__name__} is not a value of a spec; write text, in quotes")
        return str(value)

    def _text(self, value: str, path: _Path) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            self._report(path, "half of a character (a lone surrogate) is not text")
            return value.encode(errors="replace").decode()
        return value

    def _key(self, key: Any, path: _Path) -> str:
        if key is None or isinstance(key, bool):
            # YAML reads yes, no, on and off so; as JSON it would be the text "true" or "false".
            self._report(path, f"YAML reads one of the keys as {key}; write it in quotes")
        if isinstance(key, int) and key.bit_length() >= SPEC.integer_bits:
            self._report(path, f"a whole number has at most {SPEC.integer_bits} bits; write a longer key in quotes")
            return "0"
        name = self._text(str(key), path)
        if len(name) > SPEC.key_characters:
            self._report(path, f"a key has at most {SPEC.key_characters:,} characters; shorten '{name[:50]}...'")
            return name[: SPEC.key_characters]
        return name

    def _report(self, path: _Path, why: str) -> None:
        self._tell(str(path), why)
