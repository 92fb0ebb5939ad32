"""The rows that were made so far: each new and possible to learn, kept on the way, and what they cost."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b, sha256

from agents.base.agent import Context
from agents.base.budgets import GRAMMAR
from agents.data.cleaning import exact_key
from agents.generate.asking import fault_of
from agents.generate.kept import KeptRows
from agents.generate.types import Example, GenerateConfig

#: Settings that say how many rows there will be, not what they are: they may change, and the rows stay.
LIMITS = {"maximum_cost_usd", "requests_per_minute", "barren_requests"}


class MadeRows:
    """The rows so far; what was kept by an attempt or job before this one is there from the start."""

    def __init__(self, config: GenerateConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.rows: list[Example] = []
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        """`requests` (or filled patterns), `prompt_tokens`, `completion_tokens`."""
        self.cost_usd = 0.0
        self._seen: set[bytes] = set()
        self._characters = 0
        same = config.model_dump(mode="json", exclude={"rows": True, "llm": LIMITS})
        self._kept = KeptRows(context, sha256(json.dumps(same, sort_keys=True).encode()).hexdigest())
        for part in self._kept.parts():
            for row in part.rows:
                self.add(row)
            self.spent, self.refused, self.cost_usd = Counter(part.spent), Counter(part.refused), part.cost_usd
        self._kept_count = len(self.rows)
        if self.rows:
            context.log("generation_resumed", rows=len(self.rows), spent=dict(self.spent), cost_usd=self.cost_usd)

    @property
    def enough(self) -> bool:
        return len(self.rows) >= self.config.rows

    def add(self, row: Example | None) -> bool:
        """Take a row unless it can't be learned or is there already; say whether it was taken. None: a row that would
        have been too long."""
        if row is None or len(row.text) + len(row.label) > GRAMMAR.row_characters:
            self.refused["too_long"] += 1
            return False
        key = blake2b(exact_key(row.text).encode(), digest_size=16).digest()
        reason = fault_of(row, self.config) or self._superfluous(row, key)
        if reason is not None:
            self.refused[reason] += 1
            return False
        self._seen.add(key)
        self._characters += len(row.text) + len(row.label)
        self.rows.append(row)
        self.counts[row.label] += 1
        return True

    def _superfluous(self, row: Example, key: bytes) -> str | None:
        """Return why a row that could be learned isn't needed, as a machine name; None: it is."""
        if key in self._seen:
            return "duplicate"
        if self._characters + len(row.text) + len(row.label) > GRAMMAR.all_characters:
            return "too_many_characters"
        labels = self.config.labels
        if labels is not None and self.counts[row.label] >= -(-self.config.rows // len(labels)):
            return "enough_of_this_label"
        return "enough" if self.enough else None

    def keep_if_due(self) -> None:
        if len(self.rows) - self._kept_count >= KeptRows.EVERY_ROWS:
            self.keep()

    def keep(self) -> None:
        """Keep what is new."""
        if len(self.rows) == self._kept_count:
            return
        new = self.rows[self._kept_count :]
        self._kept.add(self._kept_count, new, dict(self.spent), self.cost_usd, dict(self.refused))
        self._kept_count = len(self.rows)

    @contextmanager
    def kept_on_the_way(self) -> Iterator[None]:
        """Keep the rows also where a pause, a cancel or a fault ends the generation."""
        try:
            yield
        finally:
            self.keep()
