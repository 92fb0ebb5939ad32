"""Prompts: conversations as token ids with a mask of what is learned, by a template that has a fingerprint."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.base.errors import InvalidModel
from agents.chat.format import PromptFormat
from agents.chat.layouts import LAYOUTS
from agents.chat.templates import ChatTemplate, NoForm, Piece, Template, layout_template
from agents.data.types import Message, Rendered

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PROBE: list[Message] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


@dataclass(frozen=True)
class Renderer:
    """A template with the tokenizer that it is made for."""

    template: Template
    tokenizer: "PreTrainedTokenizerFast"
    end_token_id: int
    special_texts: frozenset[str]
    fingerprint: str

    def render(self, messages: Sequence[Message]) -> Rendered:
        """Return a conversation's tokens and mask.

        Pieces are made tokens one by one, so that the prompt's tokens are exactly the first of the whole. The last
        token is the one that ends the last answer.

        Raises:
            NoForm: the template has no form for it.
        """
        pieces = _joined(self.template.pieces(messages))
        while pieces and not pieces[-1].learned and messages[-1]["role"] == "assistant":
            pieces.pop()
        found = Rendered([], [])
        for piece in pieces:
            ids = self._encode(piece.text)
            found.input_ids.extend(ids)
            found.loss_mask.extend([piece.learned] * len(ids))
        return found

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens that an answer to `messages` follows; the last of them is not an answer itself."""
        return self.render(messages).input_ids

    def answer(self, token_ids: Sequence[int]) -> str:
        """Return generated tokens as text, up to the token that ends the answer."""
        ids = list(token_ids)
        if self.end_token_id in ids:
            ids = ids[: ids.index(self.end_token_id)]
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def has_special_text(self, messages: Sequence[Message]) -> bool:
        """Say whether a turn holds the text of a special token: it would end its turn, or begin another's."""
        return any(special in message["content"] for message in messages for special in self.special_texts)

    def format(self, max_new_tokens: int, *, clean: bool = True) -> PromptFormat:
        return PromptFormat(
            template=self.template.name, fingerprint=self.fingerprint, max_new_tokens=max_new_tokens, clean=clean
        )

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def make_renderer(name: str | None, tokenizer: "PreTrainedTokenizerFast") -> Renderer:
    """Return the renderer of a template; None: the tokenizer's own where it has one, else `alpaca`.

    Raises:
        InvalidModel: the template doesn't fit the model's tokenizer.
    """
    name = name or ("tokenizer" if tokenizer.chat_template else "alpaca")
    template = _template(name, tokenizer)
    end = _end_token_id(template, tokenizer)
    special = {name: str(token) for name, token in sorted(tokenizer.special_tokens_map.items())}
    texts = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    facts = {"name": name, **template.facts(), "special": special, "texts": sorted(texts), "end_token_id": end}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return Renderer(template, tokenizer, end, frozenset(texts), digest)


def matching_renderer(tokenizer: "PreTrainedTokenizerFast", made_with: PromptFormat) -> Renderer:
    """Return the renderer that prompts were made with.

    Raises:
        InvalidModel: with this tokenizer the template comes out other than it was.
    """
    renderer = make_renderer(made_with.template, tokenizer)
    if renderer.fingerprint != made_with.fingerprint:
        raise InvalidModel(
            f"The prompts were made with a template '{made_with.template}' of fingerprint "
            f"{made_with.fingerprint[:12]}, the model's has {renderer.fingerprint[:12]}.",
            cure="Run preprocessing and training again with the same model and template.",
        )
    return renderer


def _template(name: str, tokenizer: "PreTrainedTokenizerFast") -> Template:
    if name != "tokenizer":
        return layout_template(name, LAYOUTS[name], tokenizer)
    if not tokenizer.chat_template:
        raise InvalidModel(
            "The model's tokenizer has no chat template of its own.",
            cure="Set preprocessing's `template` to alpaca, chatml, llama2, llama3 or completion.",
        )
    return ChatTemplate(tokenizer)


def _end_token_id(template: Template, tokenizer: "PreTrainedTokenizerFast") -> int:
    """Return the token that ends an answer; generation stops there.

    Raises:
        InvalidModel: answers don't end with a special token, so that a model could not learn to stop.
    """
    try:
        learned = [piece.text for piece in template.pieces(PROBE) if piece.learned]
    except NoForm as fault:
        raise InvalidModel(
            f"The template '{template.name}' doesn't fit: {fault}.", cure="Set preprocessing's `template`."
        ) from fault
    ids: list[int] = tokenizer(learned[-1], add_special_tokens=False)["input_ids"]
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    if not ids or ids[-1] not in special | {tokenizer.eos_token_id}:
        raise InvalidModel(
            f"The template '{template.name}' ends an answer without a special token: {learned[-1]!r}.",
            cure="Set preprocessing's `template` to another one, such as alpaca.",
        )
    return ids[-1]


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Join neighbours of one kind, and leave out empty ones."""
    found: list[Piece] = []
    for piece in pieces:
        if found and found[-1].learned == piece.learned:
            found[-1] = Piece(found[-1].text + piece.text, piece.learned)
        elif piece.text:
            found.append(piece)
    return found


__all__ = ["NoForm", "Rendered", "Renderer", "make_renderer", "matching_renderer"]
