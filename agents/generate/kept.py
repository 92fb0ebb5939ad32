"""Rows kept on the way: one object for every hundred, under the node's checkpoint prefix.

    <prefix>/rows_00000100/attempt_2.json      the rows from number 100 on, and what was spent until then

The attempt is in the key, so that a late writer changes nothing: of two objects with the same start the later
attempt's counts. Parts of the jobs that this one continues are taken where this node has none.
"""

import json
from collections.abc import Iterator

from agents.base import bucket
from agents.base.agent import Context
from agents.base.records import Record
from agents.generate.types import Example


class Part(Record):
    """Some of the rows, with what was spent and refused until the last of them. `made_by`: see `KeptRows`."""

    made_by: str
    rows: list[Example]
    spent: dict[str, int]
    cost_usd: float
    refused: dict[str, int]


class KeptRows:
    """The parts of one node. `made_by`: digest of what decides the rows; only parts with the same one are taken."""

    EVERY_ROWS = 100

    def __init__(self, context: Context, made_by: str) -> None:
        self._context = context
        self._made_by = made_by

    def parts(self) -> Iterator[Part]:
        """Yield the parts that follow one another, this node's own before those of the jobs that it continues."""
        found: dict[int, str] = {}
        for prefix in self._context.checkpoint_prefixes:
            found = {**self._newest(prefix), **found}
        start = 0
        while start in found:
            part = Part.model_validate(json.loads(self._context.objects.get(found[start])))
            if part.made_by != self._made_by or not part.rows:
                return
            yield part
            start += len(part.rows)

    def add(
        self, start: int, rows: list[Example], spent: dict[str, int], cost_usd: float, refused: dict[str, int]
    ) -> None:
        """Keep the rows from number `start` on."""
        key = bucket.generated_rows(self._context.checkpoint_prefixes[0], start, self._context.attempt)
        part = Part(made_by=self._made_by, rows=rows, spent=spent, cost_usd=cost_usd, refused=refused)
        self._context.objects.put(key, part.model_dump_json().encode(), "application/json")

    def _newest(self, prefix: str) -> dict[int, str]:
        found: dict[int, tuple[int, str]] = {}
        for key in self._context.objects.keys(bucket.below(prefix)):
            if rows := bucket.generated_rows_of(key):
                found[rows.start] = max(found.get(rows.start, (0, "")), (rows.attempt, key))
        return {start: key for start, (_, key) in found.items()}
