"""Conversations as tokens: rendered before the split, so that rows which can't be learned are out of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agents.base.contract import Context
from agents.base.errors import InvalidData
from agents.prompts import Renderer
from agents.prompts.learnable import CURES, render
from agents.rows import Row


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
