"""Words that faults of a spec share: what was meant, and what was there."""

import difflib
import json
from collections.abc import Iterable
from typing import Any


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the known name that is like `name`, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"there are {', '.join(names)}" if names else "there are none"


def shown(value: Any) -> str:
    """Return a value as JSON, cut where it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
