"""Answers of the OpenAI-compatible routes, as OpenAI's clients read them."""

from typing import Literal

from pydantic import BaseModel, Field

from agents.models.generators.base import FinishReason
from app.schemas import View
from app.serving.routes.openai.tools import ToolCall

MODEL = Field(description="The model that answers.", examples=["task"])
CREATED = Field(description="When, in whole seconds since 1970.", examples=[1767225600])
ANSWER_ID = Field(description="The answer's id.", examples=["chatcmpl-0123456789abcdef0123456789abcdef"])
FINGERPRINT = Field(description="The version and format that answer.", examples=["v3-gguf_q8_0"])
INDEX = Field(description="Always 0: there is one answer.", examples=[0])
NO_LOGPROBS = Field(None, description="Always null.")
ChatFinishReason = Literal["stop", "length", "tool_calls"]
CHAT_FINISHED = Field(description="`stop`: the answer ended; `length`: it was cut off; `tool_calls`: it calls tools.")
FINISHED = Field(description="`stop`: the answer ended; `length`: it was cut off.")


class OpenAIError(View):
    """What went wrong."""

    message: str = Field(description="What is wrong and how to fix it, for people.")
    type: str = Field(description="The kind of error.", examples=["invalid_request_error"])
    param: str | None = Field(description="The field that is wrong.", examples=["temperature"])
    code: str = Field(description="The error's name for programs.", examples=["model_not_found"])


class OpenAIFault(View):
    """The answer of every error below `/v1`."""

    error: OpenAIError = Field(description="The error.")


class OpenAIModel(View):
    """A decoder that is served."""

    id: str = Field(description="The model's name.", examples=["task"])
    object: Literal["model"] = Field(description="The kind of record.")
    created: int = CREATED
    owned_by: str = Field(description="Who made it.", examples=["tuneline"])


class OpenAIModels(View):
    """The decoders that are served."""

    object: Literal["list"] = Field(description="The kind of record.")
    data: list[OpenAIModel] = Field(description="The decoders.")


class Usage(View):
    """How many tokens an answer took."""

    prompt_tokens: int = Field(description="Tokens of the prompt.", examples=[31])
    completion_tokens: int = Field(description="Tokens of the answer.", examples=[12])
    total_tokens: int = Field(description="All of them.", examples=[43])


class AnswerHead(BaseModel):
    """What every answer and every event of one begins with."""

    id: str = ANSWER_ID
    object: str = Field(description="The kind of record.")
    created: int = CREATED
    model: str = MODEL
    system_fingerprint: str = FINGERPRINT


class ChatMessage(View):
    """The model's turn."""

    role: Literal["assistant"] = Field(description="Whose turn it is.")
    content: str = Field(description="What it says; empty where it only calls.", examples=['{"title": "Call Ann"}'])
    refusal: None = Field(None, description="Always null.")
    tool_calls: list[ToolCall] | None = Field(None, description="The tools that it calls; null where it calls none.")
    reasoning_content: str | None = Field(
        None,
        description="What it thought before; null of a model that didn't learn reasoning.",
        examples=["2 + 2 is 4"],
    )


class ChatChoice(View):
    """The answer to a conversation."""

    index: int = INDEX
    message: ChatMessage = Field(description="What the model says.")
    finish_reason: ChatFinishReason = CHAT_FINISHED
    logprobs: None = NO_LOGPROBS


class ChatCompletion(AnswerHead, View):
    """A whole answer to a conversation."""

    object: Literal["chat.completion"] = Field(description="The kind of record.")
    choices: list[ChatChoice] = Field(description="The one answer.")
    usage: Usage = Field(description="How many tokens it took.")


class CompletionChoice(View):
    """The continuation of a prompt."""

    index: int = INDEX
    text: str = Field(description="The text.", examples=["Ann at six"])
    finish_reason: FinishReason = FINISHED
    logprobs: None = NO_LOGPROBS


class TextCompletion(AnswerHead, View):
    """A whole continuation of a prompt."""

    object: Literal["text_completion"] = Field(description="The kind of record.")
    choices: list[CompletionChoice] = Field(description="The one continuation.")
    usage: Usage = Field(description="How many tokens it took.")
