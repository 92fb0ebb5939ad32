"""Texts compared: as JSON values, or but for blanks."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def as_json(text: str) -> str | None:
    """Return a text that is a JSON object or array in its canonical form; None for any other text."""
    try:
        value = json.loads(text)
        return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else None
    except (ValueError, RecursionError):
        # Models write brackets without end, too.
        return None


def same_answer(expected: str, answer: str) -> bool:
    """Say whether two answers are the same: as JSON values where both are JSON, else but for blanks."""
    ours, theirs = as_json(expected), as_json(answer)
    if ours is not None and theirs is not None:
        return ours == theirs
    return expected.split() == answer.split()
