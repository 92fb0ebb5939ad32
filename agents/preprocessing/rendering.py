"""Conversations as tokens: rendered before the split, so that rows which can't be learned are out of it."""

from collections import Counter
from collections.abc import Sequence

from agents.base.contract import Context
from agents.base.errors import InvalidData
from agents.prompts import NoForm, Renderer
from agents.rows import Row

CURES = {
    "answer_cut_off": "Raise preprocessing's `max_tokens`, or use a model that takes more.",
    "template_refused": "Set preprocessing's `template` to one that has a form for these turns.",
    "special_token_in_text": "Take the tokens of the model's own markup out of the texts.",
    "no_learned_token": "Set preprocessing's `template` to another one.",
}


def render_rows(
    rows: Sequence[Row], renderer: Renderer, max_tokens: int, context: Context
) -> tuple[list[Row], Counter[str]]:
    """Return the rows with `input_ids` and `loss_mask`, and the reasons why others are left out.

    A row that is longer than `max_tokens` is left out whole: an answer that is cut off teaches never to stop.

    Raises:
        InvalidData: no row is left; names the first row and what to do.
    """
    kept: list[Row] = []
    dropped: Counter[str] = Counter()
    first: dict[str, str] = {}
    for row in rows:
        reason, detail = _render(row, renderer, max_tokens, kept)
        if reason:
            dropped[reason] += 1
            first.setdefault(reason, f"row {row['row']}: {detail}")
    if dropped:
        context.log(
            "rows_dropped",
            level="warning",
            rows=dropped.total(),
            reasons=dict(dropped),
            first=first,
            cures=[CURES[reason] for reason in dropped],
        )
    if not kept:
        reason = dropped.most_common(1)[0][0]
        raise InvalidData(f"No row has an answer to learn: {reason}, {first[reason]}.", cure=CURES[reason])
    return kept, dropped


def _render(row: Row, renderer: Renderer, max_tokens: int, kept: list[Row]) -> tuple[str | None, str]:
    """Add the rendered row to `kept`; return the reason and its detail where that can't be."""
    messages = row["messages"]
    if renderer.has_special_text(messages):
        return "special_token_in_text", "a turn holds one of the model's special tokens"
    try:
        rendered = renderer.render(messages)
    except NoForm as fault:
        return "template_refused", str(fault)
    if not any(rendered.loss_mask):
        return "no_learned_token", "the template leaves no token to learn"
    if len(rendered.input_ids) > max_tokens:
        return "answer_cut_off", f"{len(rendered.input_ids)} tokens, `max_tokens` is {max_tokens}"
    kept.append({**row, "input_ids": rendered.input_ids, "loss_mask": rendered.loss_mask})
    return None, ""


def longest_answer_tokens(rows: Sequence[Row]) -> int:
    """Return the tokens of the longest answer, the one that ends it included."""
    return max((_longest_run(row["loss_mask"]) for row in rows), default=0)


def _longest_run(mask: Sequence[bool]) -> int:
    return max(len(run) for run in "".join("x" if learned else " " for learned in mask).split())
