"""Values that a spec may have: those of JSON. What else YAML and Python know would be another value once stored."""

import math
from collections.abc import Callable, Mapping
from typing import Any

Report = Callable[[str, str], None]


def plain(value: Any, report: Report, path: str = "") -> Any:
    """Return a spec with text in place of all that JSON can't hold, after reporting each with its path."""
    if isinstance(value, Mapping):
        return {_key(key, report, path): plain(item, report, _below(path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, report, f"{path}[{place}]") for place, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        report(path, f"{value} is no number that can be stored")
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    report(path, f"a {type(value).__name__} is no value of a spec; write text, in quotes")
    return str(value)


def _key(key: Any, report: Report, path: str) -> str:
    if key is None or isinstance(key, bool):
        # YAML reads yes, no, on and off so; as JSON it would be the text "true" or "false".
        report(path, f"YAML reads one of the keys as {key}; write it in quotes")
    return str(key)


def _below(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
