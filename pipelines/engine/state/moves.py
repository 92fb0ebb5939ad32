"""Moves of a model's champion, as Redis keeps them: without what can't be read."""

from contextlib import suppress
from typing import Any

from redis import Redis

from agents.base.strict_json import Bounds, decode
from pipelines.engine.state import keys

#: Characters of a reason that are kept.
REASON_MOST = 1000
#: Of a move as it is read: a release before may have kept any reason.
MOVE = Bounds(4_000, REASON_MOST + 200, 4)


def moves_of(connection: "Redis", model: str, most: int | None = None) -> list[dict[str, Any]]:
    """Return the moves (the newest `most`), newest first."""
    found = []
    for written in connection.lrange(keys.history(model), 0, (most or 0) - 1):
        with suppress(ValueError):
            move = decode(written, MOVE).value
            found += [move] if isinstance(move, dict) and "version" in move else []
    return found
