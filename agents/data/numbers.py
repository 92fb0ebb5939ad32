"""Labels that are numbers: read from text, and written in one form."""

import math
import re

#: As programs write numbers: a sign, digits, a point, an exponent. Commas are thousands to some and decimals to others.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_number(text: str) -> float | None:
    """Return the number that a text is; None where it is none, or not a finite one."""
    stripped = text.strip()
    if not NUMBER.fullmatch(stripped):
        return None
    value = float(stripped)
    return value if math.isfinite(value) else None


def shortest(value: float) -> str:
    """Return a number as text, in as few characters as tell it: 4.0 is `4`."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
