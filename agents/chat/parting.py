"""An answer that is still being written, taken apart as far as that can be known."""

from agents.chat.answer_form import AnswerForm
from agents.chat.answers import Answer, Tools


class Parting:
    """Takes pieces of text; gives those of what is said and of the reasoning as soon as they can't be markup."""

    def __init__(self, form: AnswerForm, tools: Tools | None) -> None:
        self._form, self._tools = form, tools
        self._text = ""
        self._said = self._reasoning = 0

    def take(self, piece: str) -> tuple[str, str]:
        """Return what is new of the reasoning and of what is said."""
        self._text += piece
        found = self._form.read_part(self._text, self._tools)
        return self._news(found.reasoning, self._held(found.reasoning)), self._said_news(
            found.content, self._held(found.content)
        )

    def end(self, text: str) -> tuple[str, str, Answer]:
        """Return the rest of both, and the whole answer. `text`: all that was written."""
        whole = self._form.read(text, self._tools)
        return (
            self._news(whole.reasoning, len(whole.reasoning)),
            self._said_news(whole.content, len(whole.content)),
            whole,
        )

    def _news(self, text: str, upto: int) -> str:
        piece, self._reasoning = text[self._reasoning : upto], max(upto, self._reasoning)
        return piece

    def _said_news(self, text: str, upto: int) -> str:
        piece, self._said = text[self._said : upto], max(upto, self._said)
        return piece

    def _held(self, text: str) -> int:
        """Return up to where a text can't become markup, or blanks at its end."""
        for length in range(min(len(text), self._longest), 0, -1):
            if any(mark.startswith(text[-length:]) for mark in self._form.marks):
                return len(text[:-length].rstrip())
        return len(text.rstrip())

    @property
    def _longest(self) -> int:
        return max((len(mark) - 1 for mark in self._form.marks), default=0)
