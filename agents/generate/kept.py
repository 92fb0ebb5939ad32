"""Rows kept on the way: one object for every hundred, under the node's checkpoint prefix.

    <prefix>/rows_00000100/attempt_2.json      the rows from number 100 on, and what was spent until then

The attempt is in the key, so that a late writer changes nothing: of two objects that start alike the later attempt's
counts. Parts of the jobs that this one continues are taken where this node has none of its own.
"""

import json
from collections.abc import Iterator
from typing import Any

from agents.base import bucket
from agents.base.agent import Context


class KeptRows:
    """The parts of one node. `made_by`: digest of what decides the rows; only parts with the same one are taken."""

    EVERY_ROWS = 100

    def __init__(self, context: Context, made_by: str) -> None:
        self._context = context
        self._made_by = made_by

    def parts(self) -> Iterator[dict[str, Any]]:
        """Yield the parts that follow one another, this node's own before those of the jobs that it continues."""
        found: dict[int, str] = {}
        for prefix in self._context.checkpoint_prefixes:
            found = {**self._newest(prefix), **found}
        start = 0
        while start in found:
            part: dict[str, Any] = json.loads(self._context.objects.get(found[start]))
            if part["made_by"] != self._made_by or not part["rows"]:
                return
            yield part
            start += len(part["rows"])

    def add(self, start: int, part: dict[str, Any]) -> None:
        """Keep the rows from number `start` on."""
        key = bucket.generated_rows(self._context.checkpoint_prefixes[0], start, self._context.attempt)
        body = json.dumps({"made_by": self._made_by, **part}, ensure_ascii=False)
        self._context.objects.put(key, body.encode("utf-8", "surrogatepass"), "application/json")

    def _newest(self, prefix: str) -> dict[int, str]:
        found: dict[int, tuple[int, str]] = {}
        for key in self._context.objects.keys(bucket.below(prefix)):
            if rows := bucket.generated_rows_of(key):
                found[rows.start] = max(found.get(rows.start, (0, "")), (rows.attempt, key))
        return {start: key for start, (_, key) in found.items()}
