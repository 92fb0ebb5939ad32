"""GenerateAgent: rows that are made, by a language model or a grammar; it stands where a dataset node would.

Every hundred rows are kept in the object store, so that a generation that was killed, paused or refused goes on.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b, sha256
from typing import Any, ClassVar

from agents.base.agent import Agent, Context
from agents.base.errors import InvalidSpec, StopRequested
from agents.base.sources import Sources
from agents.data.cleaning import exact_key
from agents.data.conversations import of_text_and_label
from agents.data.rows import RowsFile
from agents.data.statistics import Tally
from agents.dataset.types import DatasetOutput
from agents.generate.asking import fault_of, question, rows_of
from agents.generate.endpoint import ChatEndpoint, EndpointSettings
from agents.generate.grammar import GrammarSource
from agents.generate.kept import KeptRows
from agents.generate.types import Example, GenerateConfig

#: So many filled patterns without a new row end a grammar.
BARREN_PATTERNS = 2000
#: A wait is cut into pieces of this length, between which a cancel is looked for.
WAIT_PIECE_S = 0.5


class GenerateAgent(Agent[GenerateConfig, DatasetOutput]):
    """Makes rows until there are enough, the money is spent, or nothing new comes."""

    config_type = GenerateConfig
    output_type = DatasetOutput
    stands_for: ClassVar[str | None] = "dataset"

    def cache_inputs(self, config: GenerateConfig, sources: Sources) -> Mapping[str, str]:
        if config.llm is None:
            return {}
        settings = EndpointSettings()
        return {"endpoint": settings.gen_base_url, "model": config.llm.model or settings.gen_model or ""}

    def run(self, config: GenerateConfig, context: Context) -> DatasetOutput:
        """Write the rows as an artifact.

        Raises:
            NotAllowed, InvalidSpec: the endpoint refuses the key or the request, or doesn't say what it costs.
            Unavailable: it doesn't answer; what was made is kept for the next attempt.
        """
        made = _Made(config, context)
        with made.kept_on_the_way():
            source = "grammar" if config.grammar else _from_model(config, context, made)
            if config.grammar:
                _from_grammar(GrammarSource(config.grammar, config.seed), config, made)
        if len(made.rows) < config.rows:
            context.log("fewer_rows_than_wanted", level="warning", rows=len(made.rows), wanted=config.rows)
        made.refused = +made.refused
        if made.refused:
            context.log("rows_refused", level="warning", rows=made.refused.total(), reasons=dict(made.refused))
        return _output(config, context, made, source)


class _Made:
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
        # Limits may be changed and the rows kept: they say how many there will be, and not what they are.
        limits = {"maximum_cost_usd", "requests_per_minute", "barren_requests"}
        same = config.model_dump(mode="json", exclude={"rows": True, "llm": limits})
        self._kept = KeptRows(context, sha256(json.dumps(same, sort_keys=True).encode()).hexdigest())
        for part in self._kept.parts():
            for row in part["rows"]:
                self.add(Example.model_validate(row))
            self.spent, self.cost_usd = Counter(part["spent"]), part["cost_usd"]
            self.refused = Counter(part["refused"])
        self._kept_count = len(self.rows)
        if self.rows:
            context.log("generation_resumed", rows=len(self.rows), spent=dict(self.spent), cost_usd=self.cost_usd)

    @property
    def enough(self) -> bool:
        return len(self.rows) >= self.config.rows

    def add(self, row: Example) -> bool:
        """Take a row unless it can't be learned or is there already; say whether it was taken."""
        share = -(-self.config.rows // len(self.config.labels)) if self.config.labels else self.config.rows
        fault = fault_of(row, self.config)
        key = blake2b(exact_key(row.text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if fault is None and key in self._seen:
            fault = "duplicate"
        if fault is None and self.config.labels is not None and self.counts[row.label] >= share:
            fault = "enough_of_this_label"
        if fault is not None or self.enough:
            self.refused[fault or "enough"] += 1
            return False
        self._seen.add(key)
        self.rows.append(row)
        self.counts[row.label] += 1
        return True

    def keep_if_due(self) -> None:
        if len(self.rows) - self._kept_count >= KeptRows.EVERY_ROWS:
            self.keep()

    def keep(self) -> None:
        """Keep what is new."""
        if len(self.rows) == self._kept_count:
            return
        part = {
            "rows": [row.model_dump() for row in self.rows[self._kept_count :]],
            "spent": dict(self.spent),
            "cost_usd": self.cost_usd,
            "refused": dict(self.refused),
        }
        self._kept.add(self._kept_count, part)
        self._kept_count = len(self.rows)

    @contextmanager
    def kept_on_the_way(self) -> Iterator[None]:
        """Keep the rows also where a pause, a cancel or a fault ends the generation."""
        try:
            yield
        finally:
            self.keep()


def _from_grammar(source: GrammarSource, config: GenerateConfig, made: _Made) -> None:
    barren = 0
    while not made.enough and barren < BARREN_PATTERNS:
        row = source.row(made.spent["patterns"])
        made.spent["patterns"] += 1
        barren = 0 if made.add(row) else barren + 1
        made.keep_if_due()
        made.context.progress(len(made.rows), config.rows)


def _from_model(config: GenerateConfig, context: Context, made: _Made) -> str:
    """Ask until there is enough; return the model's name."""
    import httpx

    assert config.llm is not None
    with httpx.Client() as http:
        endpoint = ChatEndpoint(EndpointSettings(), config.llm, http, _waiting(context))
        barren, dearest_usd = 0, 0.0
        while not made.enough and barren < config.llm.barren_requests:
            if made.cost_usd + dearest_usd > config.llm.maximum_cost_usd:
                context.log("cost_limit_reached", level="warning", cost_usd=round(made.cost_usd, 6))
                break
            number = made.spent["requests"]
            answer = endpoint.ask(question(config, made.rows, made.counts, number), config.seed + number)
            if answer.cost_usd is None:
                raise InvalidSpec(
                    "The endpoint doesn't say what a request costs, so that no limit could be kept.",
                    cure="Set `llm.prompt_price_usd` and `llm.completion_price_usd`; 0 where it is free.",
                )
            made.spent.update(
                requests=1, prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens
            )
            made.cost_usd += answer.cost_usd
            dearest_usd = max(dearest_usd, answer.cost_usd)
            taken = sum([made.add(row) for row in rows_of(answer.text, made.refused)])
            barren = 0 if taken else barren + 1
            made.keep_if_due()
            context.progress(len(made.rows), config.rows, cost_usd=round(made.cost_usd, 6))
        return endpoint.model


def _waiting(context: Context) -> Callable[[float], None]:
    """Return a sleep that a cancel ends."""

    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        if seconds > 10 * WAIT_PIECE_S:
            context.log("waiting", seconds=round(seconds, 1))
        while (left := until - time.monotonic()) > 0:
            if kind := context.stop_requested():
                raise StopRequested(kind)
            time.sleep(min(WAIT_PIECE_S, left))

    return wait


def _output(config: GenerateConfig, context: Context, made: _Made, source: str) -> DatasetOutput:
    tally = Tally()
    with RowsFile(context.work_dir / "rows.jsonl") as file:
        for number, row in enumerate(made.rows, start=1):
            written: dict[str, Any] = {"row": number, "text": row.text, "label": row.label}
            if config.labels is None:
                written["messages"] = of_text_and_label(row.text, row.label)
            file.add(written)
            tally.add(row.text, None if config.labels is None else row.label)
        artifact = file.store(context.objects)
    facts: dict[str, Any] = {"generated_by": source, **made.spent, "cost_usd": round(made.cost_usd, 6)}
    context.log("rows_generated", rows=len(made.rows), **facts)
    return DatasetOutput(
        rows=artifact,
        row_count=len(made.rows),
        columns=["text", "label"],
        shape="prompt_completion" if config.labels is None else "text_label",
        text_column="text",
        label_column="label",
        label_counts=dict(sorted(tally.label_counts.items())),
        dropped=dict(made.refused),
        statistics={**tally.statistics(), **facts, "seed": config.seed},
        source=f"generated by {source}",
        source_sha256=artifact.sha256,
    )


__all__ = ["GenerateAgent", "GenerateConfig"]
