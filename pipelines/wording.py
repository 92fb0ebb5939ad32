"""Words that faults of a spec share: what was meant, and what was there."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

#: Names that are looked through for one that is alike, and that are listed, and how long such names are at most.
COMPARED_MOST = 300
LISTED_MOST = 100
COMPARED_CHARACTERS = 100
SHOWN_CHARACTERS = 60


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the known name that is like `name`, or what names there are."""
    names = sorted(known)
    short = [one for one in names if len(one) <= COMPARED_CHARACTERS][:COMPARED_MOST]
    near = difflib.get_close_matches(name, short, n=1) if len(name) <= COMPARED_CHARACTERS else []
    if near:
        return f"did you mean '{near[0]}'?"
    if len(names) > LISTED_MOST:
        return f"there are {', '.join(cut(one) for one in names[:LISTED_MOST])} and {len(names) - LISTED_MOST:,} more"
    return f"there are {', '.join(cut(one) for one in names)}" if names else "there are none"


def cut(text: str, most: int = COMPARED_CHARACTERS) -> str:
    """Return a text, or its beginning where it is long."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shown(value: Any) -> str:
    """Return a value as JSON, cut where it is long; of a large one no more is looked at than is shown."""
    text = ""
    for piece in json.JSONEncoder(default=str).iterencode(value):
        text += cut(piece, SHOWN_CHARACTERS + 1)
        if len(text) > SHOWN_CHARACTERS:
            break
    return cut(text, SHOWN_CHARACTERS)
