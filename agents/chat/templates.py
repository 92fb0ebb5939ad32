"""Conversations as pieces of text, each learned or not: by a layout, or by the tokenizer's own chat template."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from agents.base.errors import InvalidModel
from agents.chat.layouts import Layout
from agents.chat.template_process import Refused, TemplateProcess
from agents.data.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

#: What chat templates that name today's date are told, so that a rendering is the same every day.
FIXED_DATE = "26 Jul 2024"


class Piece(NamedTuple):
    """A run of text that is learned (an answer and its end) or not."""

    text: str
    learned: bool


class NoForm(Exception):
    """The template has no form for this conversation; the message says why."""


class Template(Protocol):
    """Turns messages into pieces. What comes before an answer doesn't depend on it: that keeps prompts prefixes."""

    @property
    def name(self) -> str: ...

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Return the pieces of messages; where the last one is not an answer they end where the next answer begins.

        Raises:
            NoForm: a role that the template doesn't know, or an order of turns that it doesn't allow.
        """

    def facts(self) -> dict[str, Any]:
        """Return all that the rendering depends on, for the fingerprint."""


@dataclass(frozen=True)
class LayoutTemplate:
    """A template by its layout, filled with a tokenizer's tokens."""

    name: str
    layout: Layout
    bos: str
    eos: str

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        layout, found = self.layout, [] if messages[0]["role"] == "system" else [self._piece(self.layout.opening)]
        previous = None
        for message in messages:
            if message["role"] == "assistant":
                found += [
                    self._piece(layout.answer_start),
                    Piece(message["content"] + self._fill(layout.answer_end), True),
                ]
                found.append(self._piece(layout.after_answer))
            else:
                found.append(Piece(self._turn(message, previous), False))
            previous = message["role"]
        return found if previous == "assistant" else [*found, self._piece(layout.answer_start)]

    def facts(self) -> dict[str, Any]:
        return {"layout": asdict(self.layout), "bos": self.bos, "eos": self.eos}

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


@dataclass(frozen=True)
class ChatTemplate:
    """The tokenizer's own template. It is run in a sandbox, which has no files and no imports, in a process of its own,
    which has no keys and bounded memory and time."""

    tokenizer: "PreTrainedTokenizerFast"
    name: str = "tokenizer"
    process: TemplateProcess = field(default_factory=TemplateProcess, compare=False, repr=False)

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        found: list[Piece] = []
        done = ""
        for index, message in enumerate(messages):
            if message["role"] == "assistant":
                before = self._after(done, messages[:index], opens_answer=True)
                after = self._after(before, messages[: index + 1], opens_answer=False)
                answer = after[len(before) :]
                end = answer.rstrip()
                found += [Piece(before[len(done) :], False), Piece(end, True), Piece(answer[len(end) :], False)]
                done = after
        if messages[-1]["role"] != "assistant":
            found.append(Piece(self._after(done, messages, opens_answer=True)[len(done) :], False))
        return found

    def facts(self) -> dict[str, Any]:
        return {"chat_template": self.tokenizer.chat_template, "date": FIXED_DATE}

    def text(self, messages: Sequence[Message], *, opens_answer: bool) -> str:
        """Return messages as the tokenizer writes them; `opens_answer`: up to where the next answer begins.

        Raises:
            NoForm: the template refuses them.
            InvalidModel: it takes more memory or time, or writes more, than a template may.
        """
        try:
            template = self.tokenizer.get_chat_template()
            variables = {**self.tokenizer.special_tokens_map, "date_string": FIXED_DATE}
            return self.process.render(template, variables, messages, opens_answer=opens_answer)
        except (Refused, ValueError) as fault:
            raise NoForm(f"the tokenizer's chat template refuses it: {fault}") from fault

    def _after(self, start: str, messages: Sequence[Message], *, opens_answer: bool) -> str:
        """Render messages, which must go on from `start`."""
        text = self.text(messages, opens_answer=opens_answer)
        if not text.startswith(start):
            raise NoForm("the tokenizer's chat template writes earlier turns anew when another turn follows")
        return text


def layout_template(name: str, layout: Layout, tokenizer: "PreTrainedTokenizerFast") -> LayoutTemplate:
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
    return LayoutTemplate(name, layout, first_text(tokenizer), str(tokenizer.eos_token))


def first_text(tokenizer: "PreTrainedTokenizerFast") -> str:
    """Return the text of the token that the tokenizer begins every text with, or "".

    Some tokenizers have a first token that they never write: SmolLM2's is <|im_start|>.
    """
    first = tokenizer("")["input_ids"][:1]
    return str(tokenizer.bos_token) if first and first[0] == tokenizer.bos_token_id else ""
