"""Conversations as tokens: rendered before the split, so that rows which can't be learned are out of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agents.base.contract import Context
from agents.base.errors import InvalidData
from agents.prompts import NoForm, Rendered, Renderer
from agents.rows import Row

CURES = {
    "answer_cut_off": "Raise preprocessing's `max_tokens`, or use a model that takes more.",
    "template_refused": "Set preprocessing's `template` to one that has a form for these turns.",
    "special_token_in_text": "Take the tokens of the model's own markup out of the texts.",
    "no_learned_token": "Set preprocessing's `template` to another one.",
}


def render_rows(
    rows: Iterable[Row], renderer: Renderer, max_tokens: int, dropped: Counter[str], context: Context
) -> Iterator[Row]:
    """Yield the rows with `input_ids` and `loss_mask`; count in `dropped` why others are left out.

    A row that is longer than `max_tokens` is left out whole: an answer that is cut off teaches never to stop.

    Raises:
        InvalidData: after the last one: none was left; names the first row and what to do.
    """
    left_out: Counter[str] = Counter()
    first: dict[str, str] = {}
    kept = 0
    for row in rows:
        rendered, reason = render(row["messages"], renderer, max_tokens)
        if rendered is not None:
            kept += 1
            yield {**row, "input_ids": rendered.input_ids, "loss_mask": list(map(int, rendered.loss_mask))}
        elif reason:
            left_out[reason.kind] += 1
            first.setdefault(reason.kind, f"row {row['row']}: {reason.detail}")
    if left_out:
        context.log(
            "rows_dropped",
            level="warning",
            rows=left_out.total(),
            reasons=dict(left_out),
            first=first,
            cures=[CURES[reason] for reason in left_out],
        )
    dropped.update(left_out)
    if left_out and not kept:
        commonest = left_out.most_common(1)[0][0]
        raise InvalidData(f"No row has an answer to learn: {commonest}, {first[commonest]}.", cure=CURES[commonest])


class Reason(NamedTuple):
    """Why a conversation can't be learned. `kind`: a key of `CURES`."""

    kind: str
    detail: str


def render(
    messages: Sequence[dict[str, str]], renderer: Renderer, max_tokens: int
) -> tuple[Rendered, None] | tuple[None, Reason]:
    """Return a conversation's tokens, or why it can't be learned."""
    if renderer.has_special_text(messages):
        return None, Reason("special_token_in_text", "a turn holds one of the model's special tokens")
    try:
        rendered = renderer.render(messages)
    except NoForm as fault:
        return None, Reason("template_refused", str(fault))
    if not any(rendered.loss_mask):
        return None, Reason("no_learned_token", "the template leaves no token to learn")
    if len(rendered.input_ids) > max_tokens:
        return None, Reason("answer_cut_off", f"{len(rendered.input_ids)} tokens, `max_tokens` is {max_tokens}")
    return rendered, None


@dataclass
class Learned:
    """Counts of what is learned in the rows that were added."""

    tokens: int = 0
    learned_tokens: int = 0
    longest_answer_tokens: int = 0
    """The token that ends an answer included."""

    def add(self, mask: Sequence[int]) -> None:
        self.tokens += len(mask)
        self.learned_tokens += sum(mask)
        runs = "".join("x" if learned else " " for learned in mask).split()
        self.longest_answer_tokens = max(self.longest_answer_tokens, *map(len, runs))
