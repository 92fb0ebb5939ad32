"""What rows are compared by: all that a model sees of one before its answer, and all of the answer."""

import json
from typing import Any

from agents.data.cleaning import exact_key
from agents.data.conversations import spoken_text
from agents.data.types import Row


def seen_text(row: Row) -> str:
    """Return what a model sees of a row: its text; of a conversation all turns before the answer, those of the system
    as well, and the tools."""
    if row.messages is None:
        return row.text
    turns = [spoken_text(message) for message in row.messages[:-1]]
    return "\n".join([*turns, _json(row.tools)] if row.tools else turns)


def seen_key(row: Row) -> str:
    """Return what exact duplicates have in common: `seen_text` without case, blanks and invisible characters, and who
    says what."""
    if row.messages is None:
        return exact_key(row.text)
    return f"{exact_key(seen_text(row))}\n{' '.join(message['role'] for message in row.messages)}"


def answer_text(row: Row) -> str:
    """Return what is to be learned of a row: its label or labels; of a conversation its answer with calls of tools,
    and the worse answer where there is one."""
    if row.labels is not None:
        return "\0".join(sorted(row.labels))
    if not row.messages:
        return row.label
    rejected = [spoken_text(message) for message in row.rejected or ()]
    return "\n\n".join([spoken_text(row.messages[-1]), *rejected])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
