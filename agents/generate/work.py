"""Rows from a grammar or a language model, and the rows artifact that they become."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from agents.base.agent import Context
from agents.base.errors import InvalidSpec, StopRequested
from agents.data.conversations import of_text_and_label
from agents.data.rows import RowsFile
from agents.data.statistics import Tally
from agents.data.types import Row
from agents.dataset.types import DatasetOutput
from agents.generate.asking import question, rows_of
from agents.generate.endpoint import Answer, ChatEndpoint
from agents.generate.grammar import GrammarSource
from agents.generate.made_rows import MadeRows
from agents.generate.settings import EndpointSettings
from agents.generate.types import GenerateConfig, Grammar

#: So many filled patterns without a new row end a grammar.
BARREN_PATTERNS = 2000
#: A wait is cut into pieces of this length, between which a cancel is looked for.
WAIT_PIECE_S = 0.5


def fill_patterns(grammar: Grammar, made: MadeRows) -> str:
    """Fill patterns until there are enough rows, or nothing new comes; return who made them."""
    source = GrammarSource(grammar, made.config.seed)
    barren = 0
    while not made.enough and barren < BARREN_PATTERNS:
        row = source.row(made.spent["patterns"])
        made.spent["patterns"] += 1
        barren = 0 if made.add(row) else barren + 1
        made.keep_if_due()
        made.context.progress(len(made.rows), made.config.rows)
    return "grammar"


def ask_model(made: MadeRows) -> str:
    """Ask until there are enough rows, the money is spent, or nothing new comes; return the model's name."""
    context, llm = made.context, made.config.llm
    assert llm is not None
    with httpx.Client() as http:
        endpoint = ChatEndpoint(EndpointSettings(), llm, http, _wait_for(context))
        barren, dearest_usd = 0, 0.0
        while not made.enough and barren < llm.barren_requests:
            if made.cost_usd + dearest_usd > llm.maximum_cost_usd:
                context.log("cost_limit_reached", level="warning", cost_usd=round(made.cost_usd, 6))
                break
            number = made.spent["requests"]
            answer = endpoint.ask(question(made.config, made.rows, made.counts, number), made.config.seed + number)
            dearest_usd = max(dearest_usd, _pay(answer, made))
            taken = sum([made.add(row) for row in rows_of(answer.text, made.refused)])
            barren = 0 if taken else barren + 1
            made.keep_if_due()
            context.progress(len(made.rows), made.config.rows, cost_usd=round(made.cost_usd, 6))
        return endpoint.model


def _pay(answer: Answer, made: MadeRows) -> float:
    """Add up what an answer took, and return what it cost in USD."""
    if answer.cost_usd is None:
        raise InvalidSpec(
            "The endpoint doesn't say what a request costs, so that no limit could be kept.",
            cure="Set `llm.prompt_price_usd` and `llm.completion_price_usd`; 0 where it is free.",
        )
    made.spent.update(requests=1, prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)
    made.cost_usd += answer.cost_usd
    return answer.cost_usd


def _wait_for(context: Context) -> Callable[[float], None]:
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


def tell_what_is_missing(made: MadeRows) -> None:
    """Log that there are fewer rows than wanted, and which were refused."""
    if not made.enough:
        made.context.log("fewer_rows_than_wanted", level="warning", rows=len(made.rows), wanted=made.config.rows)
    made.refused = +made.refused
    if made.refused:
        made.context.log("rows_refused", level="warning", rows=made.refused.total(), reasons=dict(made.refused))


def write_rows(config: GenerateConfig, context: Context, made: MadeRows, source: str) -> DatasetOutput:
    """Write the rows as an artifact. `source`: who made them."""
    tally = Tally()
    with RowsFile(context.work_dir / "rows.jsonl") as file:
        for number, example in enumerate(made.rows, start=1):
            messages = of_text_and_label(example.text, example.label) if config.labels is None else None
            row = Row(number, example.text, example.label, messages)
            file.add(row)
            tally.add(row)
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
