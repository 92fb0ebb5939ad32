"""What readers yield: records with their line, and the broken ones with their reason."""

import json
import re
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from math import isfinite, isnan
from typing import Any, Literal, NamedTuple

from agents.data.files.splits import SplitName

Format = Literal["jsonl", "json", "yaml", "csv", "tsv", "xlsx", "parquet", "arrow", "text"]
SURROGATE = re.compile("[\ud800-\udfff]")
#: A string of JSON.
JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')


class RawRecord(NamedTuple):
    """A row of a source. `row`: its line (of its first line), or its number where there are no lines; from 1."""

    row: int
    values: dict[str, Any]
    characters: int = 0
    """What it took where it was read; 0: its cells say so themselves."""
    split: SplitName | None = None
    """Where a part of the file says it: a list of a JSON document, a sheet."""


@dataclass(frozen=True)
class Broken:
    """Lines that can't be read as a row. `reason`: a machine name; `message`: what is wrong with them."""

    row: int
    reason: str
    message: str
    line_count: int = 1


def as_text(value: Any) -> str | None:
    """Return a cell as text; None for a missing one.

    Numbers are written shortest, so that 4.0 is `4` in every format; truths as JSON has them; dates as in ISO 8601.
    """
    if isinstance(value, str):
        return whole_characters(value)
    if value is None or (isinstance(value, float | Decimal) and isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value.normalize():f}"
    if isinstance(value, dict | list | tuple):
        return json.dumps(as_json(value), ensure_ascii=False)
    return _plain(value)


class TooDeep(ValueError):
    """A cell has more lists and objects inside each other than are read."""


def as_json(value: Any, depth: int = 100) -> Any:
    """Return a cell other than the text or label in a form that JSON can hold.

    Raises:
        TooDeep: it has more than `depth` lists and objects inside each other.
    """
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, dict | list | tuple):
        # Through text, so that what lies inside is made plain as well.
        try:
            text = json.dumps(value, default=_plain)
        except RecursionError as fault:
            raise TooDeep from fault
        if text.count("[") + text.count("{") > depth and depth_of(text) > depth:
            raise TooDeep
        return json.loads(whole_characters(text))
    return value if value is None or isinstance(value, bool | int | float) else _plain(value)


def whole_characters(text: str) -> str:
    """Join halves of characters that JSON escapes left apart; a half without its other becomes U+FFFD."""
    if not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def depth_of(text: str) -> int:
    """Return how many lists and objects of a JSON text lie inside each other at most."""
    deepest = depth = 0
    for character in JSON_STRING.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def shortened(text: str, characters: int = 60) -> str:
    """Return a text from outside as a sentence may show it."""
    return text if len(text) <= characters else f"{text[:characters]}\u2026"


def _plain(value: Any) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
