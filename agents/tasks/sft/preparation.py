"""Conversations as splits: rendered before the split, so that rows which can't be learned take no place in one."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import Any

import pyarrow

from agents.chat.answers import taken_apart
from agents.chat.format import PromptFormat
from agents.chat.renderer import Renderer, make_renderer
from agents.chat.template_process import FIXED_DATE
from agents.chat.templates import ChatTemplate
from agents.chat.truncation import CURES, learnable
from agents.data.cleaning import clean_content
from agents.data.conversations import message_text, of_text_and_label, prompt_text
from agents.data.types import Message, Rendered, Row
from agents.tasks.preparation import Preparation
from agents.tasks.sft.rendering import Learned, render_rows

#: By which is told whether rows have reasoning, where the spec doesn't say.
ROWS_LOOKED_AT = 1000
REASONING_CURE = "Set preprocessing's `reasoning` to keep, so that it is learned."
DATE_MESSAGE = (
    "The model's chat template writes today's date. Here it is always the same one, in training and in serving, so "
    "that a prompt has the same tokens tomorrow."
)


class ConversationPreparation(Preparation):
    """A row is a conversation that ends with an answer; long ones are cut after an answer, or become parts."""

    names_labels = False
    several_answers = True
    _keeps_reasoning: bool | None = None
    _has_tools = False

    @property
    def renderer(self) -> Renderer:
        """Raises InvalidModel where the template doesn't fit the tokenizer."""
        keeps = self.config.reasoning == "keep" if self._keeps_reasoning is None else self._keeps_reasoning
        if keeps not in self._renderers:
            self._renderers[keeps] = make_renderer(self.config.template, self.tokenizer, keeps_reasoning=keeps)
        return self._renderers[keeps]

    def cleaned(self, row: Row) -> Row:
        messages = self._messages(row)
        answer = message_text(messages[-1]) if messages else ""
        return replace(row, text=prompt_text(messages), label=answer, messages=messages, extra={})

    def _messages(self, row: Row) -> list[Message]:
        """Return the turns up to the last answer that is to be learned."""
        turns = row.messages or of_text_and_label(row.text, _answer(row))
        messages = [taken_apart(message) for message in turns]
        if self.config.clean:
            messages = [_cleaned(message) for message in messages]
        answers = [at for at, one in enumerate(messages) if one["role"] == "assistant" and one.get("learned", True)]
        last = answers[-1] if answers else -1
        if self.config.loss == "last":
            messages = [_unlearned(one) if at in answers and at != last else one for at, one in enumerate(messages)]
        return messages[: last + 1]

    def documents(self, rows: Iterable[Row], dropped: Counter[str]) -> Iterator[tuple[int, Row]]:
        in_parts = self.config.long_texts == "parts"
        told = self._with_reasoning_settled(iter(rows))
        first = next(told, None)
        given = told if first is None else chain((first,), told)
        return render_rows(given, self.renderer, self.max_tokens, dropped, self.context, in_parts=in_parts)

    def _with_reasoning_settled(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield rows, without reasoning where it is dropped; unless configured, the first rows say whether it is."""
        head = list(islice(rows, ROWS_LOOKED_AT))
        keeps = self.config.reasoning == "keep"
        if self.config.reasoning is None:
            keeps = any(_has_reasoning(row) for row in head)
        self._keeps_reasoning = keeps
        without = 0
        for row in chain(head, rows):
            self._has_tools = self._has_tools or bool(row.tools)
            if keeps or not _has_reasoning(row):
                yield row
            else:
                without += 1
                yield replace(row, messages=[_without_reasoning(message) for message in row.messages or []])
        if without:
            self.context.log("reasoning_dropped", level="warning", rows=without, cure=REASONING_CURE)

    @cached_property
    def _renderers(self) -> dict[bool, Renderer]:
        return {}

    def cells(self, labels: Sequence[str]) -> "ConversationCells":
        return ConversationCells(self._has_tools)

    def prompt_format(self, train: Iterable[Row]) -> PromptFormat:
        learned = Learned()
        for row in train:
            learned.add(_rendered(row).loss_mask)
            learned.rows_with_tools += bool(row.tools)
        found = self.renderer.format(max_new_tokens=2 * learned.longest_answer_tokens, clean=self.config.clean)
        template, facts = self.renderer.template, dict[str, Any]()
        if learned.rows_with_tools:
            native = isinstance(template, ChatTemplate) and template.has_tools
            facts = {"rows_with_tools": learned.rows_with_tools, "tools_are": "markup" if native else "text"}
        self.context.log(
            "prompts_rendered",
            template=found.template,
            fingerprint=found.fingerprint,
            learned_tokens=learned.learned_tokens,
            learned_share=round(learned.learned_tokens / learned.tokens, 4),
            reasoning=found.reasoning,
            **facts,
        )
        if isinstance(template, ChatTemplate) and template.depends_on_date:
            self.context.log("template_date_fixed", level="warning", date=FIXED_DATE, message=DATE_MESSAGE)
        return found

    def preview(self, row: Row) -> dict[str, Any]:
        messages = self._messages(row)
        if self.config.reasoning is None:
            self._keeps_reasoning = any(message.get("reasoning") for message in messages)
        found = learnable(messages, self.renderer, self.max_tokens, tools=row.tools)
        if found.reason and not found.parts:
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
    """`messages` string (JSON) and `loss_mask` list<bool>, of rows that are rendered already; `tools` string (JSON)
    where a row has any."""

    has_tools: bool

    def types(self) -> dict[str, Any]:
        tools = {"tools": pyarrow.string()} if self.has_tools else {}
        return {"messages": pyarrow.string(), **tools, "loss_mask": pyarrow.list_(pyarrow.bool_())}

    def columns(self, rows: Sequence[Row]) -> tuple[dict[str, list[Any]], int]:
        cells: dict[str, list[Any]] = {
            "messages": [json.dumps(row.messages, ensure_ascii=False) for row in rows],
            "loss_mask": [_rendered(row).loss_mask for row in rows],
            "input_ids": [_rendered(row).input_ids for row in rows],
        }
        if self.has_tools:
            cells["tools"] = [json.dumps(row.tools, ensure_ascii=False) if row.tools else None for row in rows]
        return cells, 0

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]:
        return Counter()


def _cleaned(message: Message) -> Message:
    found: Message = {**message, "content": clean_content(message["content"])}
    if "reasoning" in found:
        found["reasoning"] = clean_content(found["reasoning"])
    return found


def _unlearned(message: Message) -> Message:
    return {**message, "learned": False}


def _has_reasoning(row: Row) -> bool:
    return any(message.get("reasoning") for message in row.messages or ())


def _without_reasoning(message: Message) -> Message:
    found: Message = {**message}
    found.pop("reasoning", None)
    return found


def _rendered(row: Row) -> Rendered:
    assert row.rendered is not None
    return row.rendered
