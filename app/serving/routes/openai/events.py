"""Events of the streams below `/v1`: each is a piece of the answer, the last text is `[DONE]`."""

from typing import Literal

from pydantic import BaseModel, Field

from agents.models.generators.base import FinishReason
from app.schemas import PartialView
from app.serving.routes.openai.answers import INDEX, NO_LOGPROBS, AnswerHead, OpenAIFault, Usage

FINISHED = Field(description="With the last piece: `stop` or `length`.")
USAGE = Field(None, description="How many tokens the answer took: in the last event, where it was asked for.")


class ChatDelta(PartialView):
    """What is new in the model's turn."""

    role: Literal["assistant"] | None = Field(None, description="Whose turn it is; in the first piece.")
    content: str | None = Field(None, description="The piece.", examples=["Call"])


class ChatChunkChoice(PartialView):
    """A piece of the answer to a conversation."""

    index: int = INDEX
    delta: ChatDelta = Field(description="The piece.")
    finish_reason: FinishReason | None = FINISHED
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
