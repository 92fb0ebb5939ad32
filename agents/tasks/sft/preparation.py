"""Conversations as splits: rendered before the split, so that rows which can't be learned take no place in one."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow

from agents.chat.format import PromptFormat
from agents.chat.renderer import Renderer, make_renderer
from agents.chat.truncation import CURES, learnable
from agents.data.cleaning import clean_content
from agents.data.conversations import message_text, of_text_and_label, prompt_text, with_content
from agents.data.types import Message, Rendered, Row
from agents.tasks.preparation import Preparation
from agents.tasks.sft.rendering import Learned, render_rows


class ConversationPreparation(Preparation):
    """A row is a conversation that ends with an answer; long ones are cut after an answer, or become parts."""

    has_labels = False
    several_answers = True

    @cached_property
    def renderer(self) -> Renderer:
        """Raises InvalidModel where the template doesn't fit the tokenizer."""
        return make_renderer(self.config.template, self.tokenizer)

    def cleaned(self, row: Row) -> Row:
        messages = self._messages(row)
        return replace(row, text=prompt_text(messages), label=message_text(messages[-1]), messages=messages, extra={})

    def _messages(self, row: Row) -> list[Message]:
        messages = row.messages or of_text_and_label(row.text, _answer(row))
        if not self.config.clean:
            return messages
        return [with_content(message, clean_content(message["content"])) for message in messages]

    def documents(self, rows: Iterable[Row], dropped: Counter[str]) -> Iterator[tuple[int, Row]]:
        in_parts = self.config.long_texts == "parts"
        return render_rows(rows, self.renderer, self.max_tokens, dropped, self.context, in_parts=in_parts)

    def cells(self, labels: Sequence[str]) -> "ConversationCells":
        return ConversationCells()

    def prompt_format(self, train: Iterable[Row]) -> PromptFormat:
        learned = Learned()
        for row in train:
            learned.add(_rendered(row).loss_mask)
        found = self.renderer.format(max_new_tokens=2 * learned.longest_answer_tokens, clean=self.config.clean)
        self.context.log(
            "prompts_rendered",
            template=found.template,
            fingerprint=found.fingerprint,
            learned_tokens=learned.learned_tokens,
            learned_share=round(learned.learned_tokens / learned.tokens, 4),
        )
        return found

    def preview(self, row: Row) -> dict[str, Any]:
        found = learnable(self._messages(row), self.renderer, self.max_tokens)
        if found.reason:
            why = f"{found.reason.detail}. {CURES[found.reason.kind]}"
            return {"row": row.number, "left_out": found.reason.kind, "why": why}
        rendered, decode = found.parts[0].rendered, self.tokenizer.decode
        learned = [number for number, learned in zip(rendered.input_ids, rendered.loss_mask, strict=True) if learned]
        return {
            "row": row.number,
            "tokens": [decode([number]) for number in rendered.input_ids],
            "carries_loss": rendered.loss_mask,
            "token_count": len(rendered.input_ids),
            "cut_answers": found.answers_left_out,
            "loss_tokens": len(learned),
            "rendered": decode(rendered.input_ids),
            "learned": decode(learned),
        }

    def preview_facts(self) -> dict[str, Any]:
        return {"template": self.renderer.template.name, "template_fingerprint": self.renderer.fingerprint}


def _answer(row: Row) -> str:
    """Return what is learned of a row of text and label: several labels as the JSON list that they are."""
    return row.label if row.labels is None else json.dumps(row.labels, ensure_ascii=False)


@dataclass(frozen=True)
class ConversationCells:
    """`messages` string (JSON) and `loss_mask` list<bool>, of rows that are rendered already."""

    def types(self) -> dict[str, Any]:
        return {"messages": pyarrow.string(), "loss_mask": pyarrow.list_(pyarrow.bool_())}

    def columns(self, rows: Sequence[Row]) -> tuple[dict[str, list[Any]], int]:
        cells: dict[str, list[Any]] = {
            "messages": [json.dumps(row.messages, ensure_ascii=False) for row in rows],
            "loss_mask": [_rendered(row).loss_mask for row in rows],
            "input_ids": [_rendered(row).input_ids for row in rows],
        }
        return cells, 0

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]:
        return Counter()


def _rendered(row: Row) -> Rendered:
    assert row.rendered is not None
    return row.rendered
