"""Values that a spec may have: those of JSON. What else YAML and Python know would be another value once stored."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from agents.base.errors import InvalidSpec

Report = Callable[[str, str], None]
#: References of YAML let a few lines stand for ever so many values, or for one inside itself.
VALUES_MOST = 100_000
DEPTH_MOST = 50


def plain(value: Any, report: Report, path: str = "") -> Any:
    """Return a spec with text in place of all that JSON can't hold, after reporting each with its path.

    Raises:
        InvalidSpec: it is nested too deep, or has more values than a spec can have.
    """
    return _Plain(report).of(value, path, 0)


class _Plain:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.values = 0

    def of(self, value: Any, path: str, depth: int) -> Any:
        self.values += 1
        if self.values > VALUES_MOST or depth > DEPTH_MOST:
            raise InvalidSpec(f"A spec has at most {VALUES_MOST:,} values, nested {DEPTH_MOST} deep.")
        if isinstance(value, Mapping):
            keys = {key: self.key(key, path) for key in value}
            return {
                name: self.of(value[key], f"{path}.{name}" if path else name, depth + 1) for key, name in keys.items()
            }
        if isinstance(value, list | tuple):
            return [self.of(item, f"{path}[{place}]", depth + 1) for place, item in enumerate(value)]
        return self.text(value, path) if isinstance(value, str) else self.scalar(value, path)

    def scalar(self, value: Any, path: str) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            self.report(path, f"{value} is no number that can be stored")
            return None
        if value is None or isinstance(value, int | float):
            return value
        self.report(path, f"a {type(value).__name__} is no value of a spec; write text, in quotes")
        return str(value)

    def text(self, value: str, path: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            self.report(path, "half of a character (a lone surrogate) is no text")
            return value.encode(errors="replace").decode()
        return value

    def key(self, key: Any, path: str) -> str:
        if key is None or isinstance(key, bool):
            # YAML reads yes, no, on and off so; as JSON it would be the text "true" or "false".
            self.report(path, f"YAML reads one of the keys as {key}; write it in quotes")
        return self.text(str(key), path)
