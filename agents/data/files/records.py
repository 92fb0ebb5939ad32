"""What readers yield: records with their line, and the broken ones with their reason."""

import json
import re
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any, Literal

Format = Literal["jsonl", "json", "csv", "tsv", "parquet", "text"]
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class RawRecord:
    """A row of a source. `row`: its line (of its first line), or its number where there are no lines; from 1."""

    row: int
    values: dict[str, Any]


@dataclass(frozen=True)
class Broken:
    """Lines that can't be read as a row. `reason`: a machine name; `message`: what is wrong with them."""

    row: int
    reason: str
    message: str
    line_count: int = 1


def as_text(value: Any) -> str | None:
    """Return a cell as text; None for a missing one. A float without a fraction is written as the integer it was."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return whole_characters(value) if isinstance(value, str) else str(value)


def as_json(value: Any) -> Any:
    """Return a cell other than the text or label in a form that JSON can hold."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, dict | list):
        # Through text, so that what lies inside is made plain as well.
        return json.loads(whole_characters(json.dumps(value, default=_plain)))
    return value if value is None or isinstance(value, bool | int | float) else _plain(value)


def whole_characters(text: str) -> str:
    """Join halves of characters that JSON escapes left apart; a half without its other becomes U+FFFD."""
    if not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _plain(value: Any) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
