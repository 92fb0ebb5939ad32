"""Conversations as pieces of text, each learned or not."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from agents.chat.answer_form import AnswerForm
from agents.chat.answers import Conversation, Tools
from agents.data.types import Message


class Piece(NamedTuple):
    """A run of text that is learned (an answer and its end) or not. `turn`: the index of the answer's message."""

    text: str
    learned: bool
    turn: int | None = None


class NoForm(Exception):
    """The template has no form for this conversation; the message says why."""


class Template(Protocol):
    """Turns messages into pieces. What comes before an answer doesn't depend on it: that keeps prompts prefixes."""

    @property
    def name(self) -> str: ...

    @property
    def form(self) -> AnswerForm:
        """How answers stand behind their prompts."""

    def pieces(self, messages: Sequence[Message], tools: Tools | None = None) -> list[Piece]:
        """Return the pieces of messages; where the last one is not an answer they end where the next answer begins.

        An answer that the template writes otherwise once more turns follow is no piece of its own.

        Raises:
            NoForm: a role that the template doesn't know, or an order of turns that it doesn't allow.
        """

    def as_text(self, asked: Conversation) -> Conversation:
        """Return a conversation whose turns are text where the template has no form for tools or reasoning."""

    def facts(self) -> dict[str, Any]:
        """Return all that the rendering depends on, for the fingerprint."""
