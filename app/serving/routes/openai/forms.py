"""The two forms of an answer: a continuation of a prompt, and a turn of a conversation."""

import uuid
from typing import Any, Protocol

from agents.chat.answer_form import AnswerForm
from agents.chat.answers import Answer, Tools
from agents.chat.parting import Parting
from agents.models.generators.base import Completion
from app.serving.routes.openai.tools import call_record


class Form(Protocol):
    """Makes records of one answer."""

    object: str
    stream_object: str
    prefix: str

    def choice(self, found: Completion) -> dict[str, Any]:
        """Return the whole answer."""

    def pieces(self, text: str) -> list[dict[str, Any]]:
        """Return what is to be sent of a piece of text; nothing while it may be markup."""

    def last_pieces(self, found: Completion) -> list[dict[str, Any]]:
        """Return the rest, and the end."""


class CompletionForm:
    """The form of `/v1/completions`."""

    object = stream_object = "text_completion"
    prefix = "cmpl"

    def choice(self, found: Completion) -> dict[str, Any]:
        return self._piece(found.text, found.finish_reason)

    def pieces(self, text: str) -> list[dict[str, Any]]:
        return [self._piece(text, None)]

    def last_pieces(self, found: Completion) -> list[dict[str, Any]]:
        return [self._piece("", found.finish_reason)]

    @staticmethod
    def _piece(text: str, finish_reason: str | None) -> dict[str, Any]:
        return {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}


class ChatForm:
    """The form of `/v1/chat/completions`. `calls_most`: further ones are left out, as the caller asked."""

    object, stream_object = "chat.completion", "chat.completion.chunk"
    prefix = "chatcmpl"

    def __init__(self, form: AnswerForm, tools: Tools | None, calls_most: int | None) -> None:
        self._form, self._tools, self._calls_most = form, tools, calls_most
        self._parting = Parting(form, tools)
        self._is_first = True

    def choice(self, found: Completion) -> dict[str, Any]:
        answer = self._form.read(found.text, self._tools)
        message = {
            "role": "assistant",
            "content": answer.content,
            "refusal": None,
            "tool_calls": self._calls(answer) or None,
            "reasoning_content": answer.reasoning or None,
        }
        return {"index": 0, "message": message, "finish_reason": self._end(answer, found), "logprobs": None}

    def pieces(self, text: str) -> list[dict[str, Any]]:
        return self._deltas(*self._parting.take(text))

    def last_pieces(self, found: Completion) -> list[dict[str, Any]]:
        reasoning, said, answer = self._parting.end(found.text)
        deltas = self._deltas(reasoning, said)
        if calls := self._calls(answer):
            deltas.append(self._piece({"tool_calls": [{"index": at, **call} for at, call in enumerate(calls)]}))
        return [*deltas, self._piece({}, self._end(answer, found))]

    def _deltas(self, reasoning: str, said: str) -> list[dict[str, Any]]:
        news = {"reasoning_content": reasoning, "content": said}
        return [self._piece({name: text}) for name, text in news.items() if text]

    def _piece(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        role = {"role": "assistant"} if self._is_first else {}
        self._is_first = False
        return {"index": 0, "delta": role | delta, "finish_reason": finish_reason, "logprobs": None}

    def _calls(self, answer: Answer) -> list[dict[str, Any]]:
        return [call_record(call, f"call_{uuid.uuid4().hex[:24]}") for call in answer.calls[: self._calls_most]]

    @staticmethod
    def _end(answer: Answer, found: Completion) -> str:
        return "tool_calls" if answer.calls and found.finish_reason == "stop" else found.finish_reason
