"""Events of the streams below `/v1`: each is a piece of the answer, the last text is `[DONE]`."""

from typing import Literal

from pydantic import BaseModel, Field

from agents.models.generators.base import FinishReason
from app.schemas import PartialView
from app.serving.routes.openai.answers import (
    INDEX,
    NO_LOGPROBS,
    AnswerHead,
    ChatFinishReason,
    OpenAIFault,
    Usage,
)
from app.serving.routes.openai.tools import ToolCall

FINISHED = Field(description="With the last piece: `stop` or `length`.")
CHAT_FINISHED = Field(description="With the last piece: `stop`, `length` or `tool_calls`.")
USAGE = Field(None, description="How many tokens the answer took: in the last event, where it was asked for.")


class CallDelta(ToolCall):
    """A call of a tool."""

    index: int = Field(description="Which of the answer's calls it is.", examples=[0])


class ChatDelta(PartialView):
    """What is new in the model's turn."""

    role: Literal["assistant"] | None = Field(None, description="Whose turn it is; in the first piece.")
    content: str | None = Field(None, description="The piece.", examples=["Call"])
    reasoning_content: str | None = Field(None, description="A piece of the reasoning.", examples=["2 + 2"])
    tool_calls: list[CallDelta] | None = Field(None, description="Whole calls, in the last piece before the end.")


class ChatChunkChoice(PartialView):
    """A piece of the answer to a conversation."""

    index: int = INDEX
    delta: ChatDelta = Field(description="The piece.")
    finish_reason: ChatFinishReason | None = CHAT_FINISHED
    logprobs: None = NO_LOGPROBS


class ChatCompletionChunk(AnswerHead, PartialView):
    """An event of a conversation's stream."""

    object: Literal["chat.completion.chunk"] = Field(description="The kind of record.")
    choices: list[ChatChunkChoice] = Field(description="The piece; none in the event with `usage`.")
    usage: Usage | None = USAGE


class CompletionChunkChoice(PartialView):
    """A piece of a continuation."""

    index: int = INDEX
    text: str = Field(description="The piece.", examples=["Ann"])
    finish_reason: FinishReason | None = FINISHED
    logprobs: None = NO_LOGPROBS


class CompletionChunk(AnswerHead, PartialView):
    """An event of a continuation's stream."""

    object: Literal["text_completion"] = Field(description="The kind of record.")
    choices: list[CompletionChunkChoice] = Field(description="The piece; none in the event with `usage`.")
    usage: Usage | None = USAGE


#: What only events hold.
EVENT_MODELS: tuple[type[BaseModel], ...] = (ChatCompletionChunk, CompletionChunk, OpenAIFault)
