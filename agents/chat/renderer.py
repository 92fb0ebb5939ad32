"""Prompts: conversations as token ids with a mask of what is learned, by a template that has a fingerprint."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from agents.base.errors import InvalidModel
from agents.base.patterns import any_of
from agents.chat.answer_form import AnswerForm
from agents.chat.answers import Answer, Conversation, Tools, answer_of, same_parts
from agents.chat.format import PromptFormat
from agents.chat.layouts import LAYOUTS
from agents.chat.templates import ChatTemplate, NoForm, Piece, Template, layout_template
from agents.data.types import Message, Rendered

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PROBE: list[Message] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
CALLING: list[Message] = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "", "tool_calls": [{"name": "b", "arguments": {"c": "d"}}]},
]


class View(NamedTuple):
    """A conversation's tokens, and the indices of the answers that are learned there."""

    rendered: Rendered
    learned: frozenset[int]


@dataclass(frozen=True)
class Renderer:
    """A template with the tokenizer that it is made for."""

    template: Template
    tokenizer: "PreTrainedTokenizerFast"
    end_token_ids: tuple[int, ...]
    """Those that end an answer, the commonest first."""
    special_texts: frozenset[str]
    markup_texts: frozenset[str]
    """Those of them that the template writes, and those that begin, end or fill texts."""
    fingerprint: str
    keeps_reasoning: bool = False

    @property
    def end_token_id(self) -> int:
        return self.end_token_ids[0]

    @property
    def form(self) -> AnswerForm:
        """How answers stand behind their prompts."""
        return self.template.form

    def render(self, messages: Sequence[Message], tools: Tools | None = None) -> Rendered:
        """Return a conversation's tokens and mask. `tools`: schemas of functions that can be called.

        Pieces are made tokens one by one, so that the prompt's tokens are exactly the first of the whole. The last
        token is the one that ends the last answer.

        Raises:
            NoForm: the template has no form for it, or writes an answer that can't be read back.
        """
        return self.view(messages, tools).rendered

    def view(self, messages: Sequence[Message], tools: Tools | None = None) -> View:
        """Return what `render` does, and which answers are learned: none that the template writes otherwise once more
        turns follow, since a prompt for it would be another one. Raises: as `render`."""
        pieces = _joined(self.template.pieces(messages, tools))
        while pieces and pieces[-1].turn is None and messages[-1]["role"] == "assistant":
            pieces.pop()
        found = Rendered([], [])
        learned = []
        for piece in pieces:
            ids = self._encode(piece.text)
            found.input_ids.extend(ids)
            found.loss_mask.extend([piece.learned] * len(ids))
            if piece.learned and piece.turn is not None:
                self._check(piece.text, messages[piece.turn], tools)
                learned.append(piece.turn)
        return View(found, frozenset(learned))

    def prompt_ids(
        self, messages: Sequence[Message], tools: Tools | None = None, *, with_lead: bool = False
    ) -> list[int]:
        """Return the tokens that an answer to `messages` follows; the last of them is not an answer itself.

        `with_lead`: also the markup that a model writes before what it says, for an answer that is held to a form.
        """
        ids = self.render(messages, tools).input_ids
        return [*ids, *self._encode(self.form.lead)] if with_lead and self.form.lead else ids

    def as_text(self, messages: Sequence[Message], tools: Tools | None = None) -> Conversation:
        """Return a conversation as a program has to ask it that knows the template, and nothing of how tools and
        reasoning are written where it has no form for them: then they are text of its turns."""
        return self.template.as_text(Conversation(messages, tools))

    def answer(self, token_ids: Sequence[int], tools: Tools | None = None) -> str:
        """Return generated tokens as text, up to the token that ends the answer: what is said, or JSON of calls."""
        ids = list(token_ids)
        end = next((at for at, number in enumerate(ids) if number in self.end_token_ids), len(ids))
        return self.read(self.decode(ids[:end]), tools).text.strip()

    def read(self, text: str, tools: Tools | None = None) -> Answer:
        """Return the parts of a written answer, without the token that ends it."""
        return self.form.read(text, tools)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return generated tokens as text; special ones are in it where they tell the parts of an answer apart."""
        text: str = self.tokenizer.decode(list(token_ids), skip_special_tokens=not self.form.needs_special)
        return text

    def has_special_text(self, messages: Sequence[Message], tools: Tools | None = None) -> bool:
        """Say whether a turn holds the text of one of the markup's special tokens: it would end its turn, or begin
        another's. Other special tokens' texts, such as `<filename>`, are texts like any other."""
        texts = [text for message in messages for text in _texts(message)]
        if tools:
            texts.append(json.dumps(list(tools), ensure_ascii=False))
        return any(special in text for text in texts for special in self.markup_texts)

    def format(self, max_new_tokens: int, *, clean: bool = True) -> PromptFormat:
        return PromptFormat(
            template=self.template.name,
            fingerprint=self.fingerprint,
            max_new_tokens=max_new_tokens,
            clean=clean,
            reasoning="keep" if self.keeps_reasoning else "drop",
        )

    @cached_property
    def _end_texts(self) -> tuple[str, ...]:
        return tuple(self.tokenizer.decode([number]) for number in self.end_token_ids)

    def _check(self, text: str, message: Message, tools: Tools | None) -> None:
        """Raises NoForm where a learned text doesn't say what its message does."""
        expected = answer_of(message)
        if not self.keeps_reasoning:
            expected = Answer(expected.content, "", expected.calls)
        end = next((end for end in self._end_texts if text.endswith(end)), "")
        found = self.read(text.removesuffix(end), tools)
        if not same_parts(found, expected):
            raise NoForm(
                f"the template '{self.template.name}' writes the answer {shown(expected)} so that "
                f"{shown(found)} is read back"
            )

    def _encode(self, text: str) -> list[int]:
        if self._foreign is None or not self._foreign.search(text):
            return self._plain_ids(text, split_special_tokens=False)
        found: list[int] = []
        for piece in self._markup.split(text):
            is_markup = piece in self.markup_texts
            found += self._plain_ids(piece, split_special_tokens=not is_markup) if piece else []
        return found

    def _plain_ids(self, text: str, *, split_special_tokens: bool) -> list[int]:
        found = self.tokenizer(text, add_special_tokens=False, split_special_tokens=split_special_tokens)
        ids: list[int] = found["input_ids"]
        return ids

    @cached_property
    def _markup(self) -> re.Pattern[str]:
        return any_of(self.markup_texts)

    @cached_property
    def _foreign(self) -> re.Pattern[str] | None:
        """Special tokens that the markup doesn't have: in a conversation they are the text that they look like."""
        others = self.special_texts - self.markup_texts
        return any_of(others) if others else None


def shown(answer: Answer) -> str:
    """Return the beginning of an answer, for a message."""
    text = f"{answer.reasoning} {answer.text}".strip() if answer.reasoning else answer.text
    return repr(text if len(text) <= 60 else text[:57] + "...")


def make_renderer(name: str | None, tokenizer: "PreTrainedTokenizerFast", *, keeps_reasoning: bool = False) -> Renderer:
    """Return the renderer of a template; None: the tokenizer's own where it has one, else `alpaca`.

    `keeps_reasoning`: whether answers begin with the reasoning that led to them.

    Raises:
        InvalidModel: the template doesn't fit the model's tokenizer.
    """
    name = name or ("tokenizer" if tokenizer.chat_template else "alpaca")
    template = _template(name, tokenizer, keeps_reasoning=keeps_reasoning)
    end = _end_token_id(template, tokenizer)
    special = {name: str(token) for name, token in sorted(tokenizer.special_tokens_map.items())}
    texts = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    facts = {"name": name, **template.facts(), "special": special, "texts": sorted(texts), "end_token_id": end}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    ends = (end, *_further_ends(template, tokenizer, end))
    written = json.dumps(template.facts(), ensure_ascii=False)
    markup = {text for text in texts if text in written or text in special.values()}
    return Renderer(template, tokenizer, ends, frozenset(texts), frozenset(markup), digest, keeps_reasoning)


def matching_renderer(tokenizer: "PreTrainedTokenizerFast", made_with: PromptFormat) -> Renderer:
    """Return the renderer that prompts were made with.

    Raises:
        InvalidModel: with this tokenizer the template comes out other than it was.
    """
    renderer = make_renderer(made_with.template, tokenizer, keeps_reasoning=made_with.reasoning == "keep")
    if renderer.fingerprint != made_with.fingerprint:
        raise InvalidModel(
            f"The prompts were made with a template '{made_with.template}' of fingerprint "
            f"{made_with.fingerprint[:12]}, the model's has {renderer.fingerprint[:12]}.",
            cure="Run preprocessing and training again with the same model and template.",
        )
    return renderer


def _template(name: str, tokenizer: "PreTrainedTokenizerFast", *, keeps_reasoning: bool) -> Template:
    if name != "tokenizer":
        return layout_template(name, LAYOUTS[name], tokenizer, keeps_reasoning=keeps_reasoning)
    if not tokenizer.chat_template:
        raise InvalidModel(
            "The model's tokenizer has no chat template of its own.",
            cure="Set preprocessing's `template` to alpaca, chatml, llama2, llama3 or completion.",
        )
    return ChatTemplate(tokenizer, keeps_reasoning=keeps_reasoning)


def _end_token_id(template: Template, tokenizer: "PreTrainedTokenizerFast") -> int:
    """Return the token that ends an answer; generation stops there.

    Raises:
        InvalidModel: answers don't end with a special token, so that a model could not learn to stop.
    """
    try:
        found = _end_of(template, tokenizer, PROBE)
    except NoForm as fault:
        raise InvalidModel(
            f"The template '{template.name}' doesn't fit: {fault}.", cure="Set preprocessing's `template`."
        ) from fault
    if isinstance(found, str):
        raise InvalidModel(
            f"The template '{template.name}' ends an answer without a special token: {found!r}.",
            cure="Set preprocessing's `template` to another one, such as alpaca.",
        )
    return found


def _further_ends(template: Template, tokenizer: "PreTrainedTokenizerFast", end: int) -> list[int]:
    """Return other tokens that end answers: some templates have one of its own for calls."""
    try:
        found = _end_of(template, tokenizer, CALLING)
    except NoForm:
        return []
    return [found] if isinstance(found, int) and found != end else []


def _end_of(template: Template, tokenizer: "PreTrainedTokenizerFast", messages: Sequence[Message]) -> int | str:
    """Return the special token that ends a conversation's answer, or its text where that is not one."""
    learned = [piece.text for piece in template.pieces(messages) if piece.learned]
    ids: list[int] = tokenizer(learned[-1], add_special_tokens=False)["input_ids"]
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return ids[-1] if ids and ids[-1] in special | {tokenizer.eos_token_id} else learned[-1]


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Join neighbours that are no answers, and leave out empty ones."""
    found: list[Piece] = []
    for piece in pieces:
        if found and found[-1].turn is None and piece.turn is None:
            found[-1] = Piece(found[-1].text + piece.text, False)
        elif piece.text:
            found.append(piece)
    return found


def _texts(message: Message) -> list[str]:
    """Return all texts of a turn."""
    calls = message.get("tool_calls")
    said = [json.dumps(list(calls), ensure_ascii=False)] if calls else []
    return [message["content"], message.get("reasoning", ""), message.get("name", ""), *said]


__all__ = ["NoForm", "Rendered", "Renderer", "make_renderer", "matching_renderer"]
