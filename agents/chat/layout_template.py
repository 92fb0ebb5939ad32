"""A template by its layout: what stands before, between and after turns."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agents.base.errors import InvalidModel
from agents.chat.answer_form import AnswerForm, Thought
from agents.chat.answers import Conversation, Tools
from agents.chat.hermes import plain_turns
from agents.chat.layouts import Layout
from agents.chat.pieces import NoForm, Piece
from agents.data.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class LayoutTemplate:
    """A template by its layout, filled with a tokenizer's tokens. It has neither tools nor reasoning: both are text."""

    name: str
    layout: Layout
    bos: str
    eos: str
    keeps_reasoning: bool = False

    @property
    def form(self) -> AnswerForm:
        return AnswerForm(thought=Thought() if self.keeps_reasoning else None)

    def pieces(self, messages: Sequence[Message], tools: Tools | None = None) -> list[Piece]:
        turns = self.as_text(Conversation(messages, tools)).messages
        answers = (at for at, message in enumerate(messages) if message["role"] == "assistant")
        layout, found = self.layout, [] if turns[0]["role"] == "system" else [self._piece(self.layout.opening)]
        previous = None
        for turn in turns:
            if turn["role"] == "assistant":
                at = next(answers)
                found += [
                    self._piece(layout.answer_start),
                    Piece(turn["content"] + self._fill(layout.answer_end), messages[at].get("learned", True), at),
                ]
                found.append(self._piece(layout.after_answer))
            else:
                found.append(Piece(self._turn(turn, previous), False))
            previous = turn["role"]
        return found if previous == "assistant" else [*found, self._piece(layout.answer_start)]

    def as_text(self, asked: Conversation) -> Conversation:
        has_role = "tool" in self.layout.turns
        return Conversation(plain_turns(*asked, tool_role=has_role, reasoning=self.keeps_reasoning))

    def facts(self) -> dict[str, Any]:
        found = {"layout": asdict(self.layout), "bos": self.bos, "eos": self.eos}
        return {**found, "reasoning": True} if self.keeps_reasoning else found

    def _turn(self, message: Message, previous: str | None) -> str:
        text = self.layout.turns.get(message["role"])
        if text is None:
            raise NoForm(f"the template '{self.name}' has no form for the role '{message['role']}'")
        if message["role"] == "user" and previous == "system" and self.layout.user_after_system is not None:
            text = self.layout.user_after_system
        return self._fill(text).replace("{content}", message["content"])

    def _piece(self, text: str) -> Piece:
        return Piece(self._fill(text), False)

    def _fill(self, text: str) -> str:
        return text.replace("{bos}", self.bos).replace("{eos}", self.eos)


def layout_template(
    name: str, layout: Layout, tokenizer: "PreTrainedTokenizerFast", *, keeps_reasoning: bool = False
) -> LayoutTemplate:
    """Return a layout filled with the tokenizer's tokens.

    Raises:
        InvalidModel: the tokenizer lacks a token that the layout is made of.
    """
    vocabulary = tokenizer.get_vocab()
    lacking = [token for token in layout.special_tokens if token not in vocabulary]
    if lacking or not tokenizer.eos_token:
        raise InvalidModel(
            f"The template '{name}' needs the tokens {', '.join(lacking or ['end of text'])}, which the model's "
            "tokenizer lacks.",
            cure="Set preprocessing's `template` to tokenizer, alpaca or completion, or use another model.",
        )
    return LayoutTemplate(name, layout, first_text(tokenizer), str(tokenizer.eos_token), keeps_reasoning)


def first_text(tokenizer: "PreTrainedTokenizerFast") -> str:
    """Return the text of the token that the tokenizer begins every text with, or "".

    Some tokenizers have a first token that they never write: SmolLM2's is <|im_start|>.
    """
    first = tokenizer("")["input_ids"][:1]
    return str(tokenizer.bos_token) if first and first[0] == tokenizer.bos_token_id else ""
