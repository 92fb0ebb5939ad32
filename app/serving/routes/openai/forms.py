"""The two forms of an answer: a continuation of a prompt, and a turn of a conversation."""

from typing import Any


class CompletionForm:
    """The form of `/v1/completions`."""

    object = stream_object = "text_completion"
    prefix = "cmpl"

    @staticmethod
    def choice(text: str, finish_reason: str) -> dict[str, Any]:
        return {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}

    @staticmethod
    def piece(text: str | None, finish_reason: str | None, *, first: bool) -> dict[str, Any]:  # noqa: ARG004
        return {"index": 0, "text": text or "", "finish_reason": finish_reason, "logprobs": None}


class ChatForm:
    """The form of `/v1/chat/completions`."""

    object, stream_object = "chat.completion", "chat.completion.chunk"
    prefix = "chatcmpl"

    @staticmethod
    def choice(text: str, finish_reason: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}

    @staticmethod
    def piece(text: str | None, finish_reason: str | None, *, first: bool) -> dict[str, Any]:
        delta = ({"role": "assistant"} if first else {}) | ({"content": text} if text is not None else {})
        return {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}


Form = type[CompletionForm] | type[ChatForm]
