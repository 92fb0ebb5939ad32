"""Conversations as tokens: rendered before the split, so that rows which can't be learned are out of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.base.errors import InvalidData
from agents.chat.renderer import Renderer
from agents.chat.truncation import CURES, Learnable, learnable
from agents.data.conversations import message_text, prompt_text
from agents.data.reader import Listener
from agents.data.types import Row


def render_rows(
    rows: Iterable[Row],
    renderer: Renderer,
    max_tokens: int,
    dropped: Counter[str],
    context: Listener,
    *,
    in_parts: bool = False,
) -> Iterator[tuple[int, Row]]:
    """Yield the rows as rendered, each with the number of the conversation that it is of; count in
    `dropped` why others are left out.

    Of a conversation longer than `max_tokens` there are the turns up to an answer that fits, and `in_parts` one row
    more for each part of what follows.

    Raises:
        InvalidData: after the last one: none was left; names the first row and what to do.
    """
    left_out: Counter[str] = Counter()
    first: dict[str, str] = {}
    kept = 0
    refused = 0
    long = Counter[str]()
    for number, row in enumerate(rows):
        found = learnable(row.messages or [], renderer, max_tokens, tools=row.tools, in_parts=in_parts)
        kept += len(found.parts)
        for part in found.parts:
            yield number, _rendered(row, part)
        if found.reason and not found.parts:
            left_out[found.reason.kind] += 1
            first.setdefault(found.reason.kind, f"row {row.number}: {found.reason.detail}")
        elif found.reason:
            first.setdefault("answers_refused", f"row {row.number}: {found.reason.detail}")
            refused += found.answers_left_out
        elif len(found.parts) > 1 or found.answers_left_out:
            long.update(rows=1, parts=len(found.parts), answers_left_out=found.answers_left_out)
    if long:
        counts: dict[str, Any] = dict(long)
        level = "warning" if 2 * long["rows"] > kept else "info"
        context.log("long_conversations_cut", level=level, max_tokens=max_tokens, **counts)
    if refused:
        cure, where = CURES["template_refused"], first.pop("answers_refused")
        context.log("answers_refused", level="warning", answers=refused, first=where, cure=cure)
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


def _rendered(row: Row, part: Learnable) -> Row:
    """Return a row of a part's turns: what it is compared by, and its answer, are those of the part."""
    text, answer = prompt_text(part.messages), message_text(part.messages[-1])
    return replace(row, text=text, label=answer, messages=part.messages, extra={}, rendered=part.rendered)


@dataclass
class Learned:
    """Counts of what is learned in the rows that were added."""

    tokens: int = 0
    learned_tokens: int = 0
    rows_with_tools: int = 0
    longest_answer_tokens: int = 0
    """The token that ends an answer included."""

    def add(self, mask: Sequence[int]) -> None:
        self.tokens += len(mask)
        self.learned_tokens += sum(mask)
        runs = "".join("x" if learned else " " for learned in mask).split()
        self.longest_answer_tokens = max(self.longest_answer_tokens, *map(len, runs))
