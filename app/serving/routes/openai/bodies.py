"""Request bodies of the OpenAI-compatible routes. What is not supported is refused, never ignored."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.base.schema_bounds import bounded_schema
from agents.data.types import Message as Turn
from agents.models.generators.base import SamplingParams

CHARACTERS_MOST = 200_000
Content = Annotated[str, Field(max_length=CHARACTERS_MOST)]
StopText = Annotated[str, Field(min_length=1, max_length=200)]
Role = Literal["system", "developer", "user", "assistant", "tool"]
#: Fields that are not supported -> values that mean "without it", which may be sent.
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "echo": (None, False),
    "suffix": (None, ""),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "tools": (None, []),
    "functions": (None, []),
    "audio": (None,),
}


class TextPart(BaseModel):
    """A part of a message that is text."""

    type: Literal["text"] = Field(description="The kind of part; there is one.")
    text: Content = Field(description="The text.")


class Message(BaseModel):
    """A turn."""

    role: Role = Field(description="Whose turn it is.", examples=["user"])
    content: Content | Annotated[list[TextPart], Field(fail_fast=True)] = Field(
        description="The text of the turn.", examples=["Remind me to call Ann"]
    )

    def plain(self) -> Turn:
        """Return it as training has it."""
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class JsonSchema(BaseModel):
    """A named schema."""

    schema_: dict[str, Any] = Field(
        alias="schema",
        description="Any JSON Schema.",
        examples=[{"type": "object", "properties": {"at": {"type": "string"}}}],
    )


class ResponseFormat(BaseModel):
    """The format that the answer must have."""

    type: Literal["text", "json_object", "json_schema"] = Field(description="The kind of answer.")
    json_schema: JsonSchema | None = Field(None, description="The schema, for `json_schema`.")

    @model_validator(mode="after")
    def _has_schema(self) -> "ResponseFormat":
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is missing")
        self.schema_wanted()
        return self

    def schema_wanted(self) -> dict[str, Any] | None:
        if self.type == "text":
            return None
        if self.json_schema is None or self.type != "json_schema":
            return {"type": "object"}
        try:
            return dict(bounded_schema(self.json_schema.schema_))
        except ValueError as fault:
            raise ValueError(f"the JSON schema can't be followed: {fault}") from fault


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = Field(False, description="Whether a last event has the number of tokens.")


class AnswerBody(BaseModel):
    """What both kinds of requests have in common."""

    model_config = ConfigDict(extra="allow")
    model: Annotated[str, Field(max_length=63)] = Field(description="The decoder that answers.", examples=["task"])
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="Where the answer is cut off.")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="The sampling temperature. Unset or 0: always the likeliest token."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Nucleus sampling: the share of probability that tokens are chosen from."
    )
    seed: Annotated[int, Field(ge=0, lt=2**32 - 1)] | None = Field(None, description="Makes an answer reproducible.")
    stop: StopText | Annotated[list[StopText], Field(max_length=4)] | None = Field(
        None, description="Texts before which the answer ends."
    )
    stream: bool | None = Field(False, description="Whether the answer is streamed.")
    stream_options: StreamOptions | None = Field(None, description="How the answer is streamed.")
    response_format: ResponseFormat | None = Field(None, description="The format that the answer must have.")

    @model_validator(mode="after")
    def _nothing_unsupported(self) -> "AnswerBody":
        for name, harmless in UNSUPPORTED.items():
            if (self.model_extra or {}).get(name) not in harmless:
                raise ValueError(f"{name} is not supported")
        return self

    def sampling(self, max_new_tokens: int) -> SamplingParams:
        """Return how the answer is to be made; without a temperature always the likeliest token, as in evaluation."""
        return SamplingParams(
            max_new_tokens=self.max_tokens or max_new_tokens,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=self.seed,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            json_schema=self.response_format.schema_wanted() if self.response_format else None,
        )


class ChatBody(AnswerBody):
    """`POST /v1/chat/completions`."""

    messages: list[Message] = Field(min_length=1, max_length=1000, description="The conversation so far.")
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Where the answer is cut off; takes precedence over `max_tokens`."
    )

    @model_validator(mode="after")
    def _asks_something(self) -> "ChatBody":
        if self.messages[-1].role == "assistant":
            raise ValueError("messages must not end with an answer")
        return self

    def sampling(self, max_new_tokens: int) -> SamplingParams:
        return super().sampling(self.max_completion_tokens or max_new_tokens)


class CompletionBody(AnswerBody):
    """`POST /v1/completions`: the prompt as it is, without the template."""

    prompt: (
        Content | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=100_000, fail_fast=True)]
    ) = Field(description="A text, or token ids.", examples=["Call"])
