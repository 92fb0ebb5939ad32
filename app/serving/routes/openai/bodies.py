"""Request bodies of the OpenAI-compatible routes. What is not supported is refused, never ignored."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.base.schema_bounds import bounded_schema
from agents.chat.answers import Conversation
from agents.data.types import Message as Turn
from agents.models.generators.base import SamplingParams
from app.serving.routes.openai.tools import TOOLS_MOST, NamedTool, Tool, ToolCall, ToolChoice

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
    "functions": (None, []),
    "function_call": (None,),
    "audio": (None,),
}


class TextPart(BaseModel):
    """A part of a message that is text."""

    type: Literal["text"] = Field(description="The kind of part; there is one.")
    text: Content = Field(description="The text.")


class Message(BaseModel):
    """A turn."""

    role: Role = Field(description="Whose turn it is.", examples=["user"])
    content: Content | Annotated[list[TextPart], Field(fail_fast=True)] | None = Field(
        None, description="The text of the turn; null only beside `tool_calls`.", examples=["Remind me to call Ann"]
    )
    tool_calls: Annotated[list[ToolCall], Field(max_length=TOOLS_MOST, fail_fast=True)] | None = Field(
        None, description="The calls that the assistant made in this turn."
    )
    tool_call_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="In a turn of a tool: the call whose result it is."
    )
    name: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="In a turn of a tool: its name, where there is no `tool_call_id`."
    )
    reasoning_content: Content | None = Field(None, description="The reasoning before the assistant's answer.")

    @model_validator(mode="after")
    def _says_something(self) -> "Message":
        if self.content is None and not self.tool_calls:
            raise ValueError("content is missing")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("tool_calls are for turns of the assistant")
        return self

    def plain(self) -> Turn:
        """Return it as training has it."""
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or ())
        found: Turn = {"role": "system" if self.role == "developer" else self.role, "content": content}
        if self.tool_calls:
            found["tool_calls"] = [call.plain() for call in self.tool_calls]
        if self.role == "assistant" and self.reasoning_content:
            found["reasoning"] = self.reasoning_content
        if self.role == "tool" and self.name:
            found["name"] = self.name
        return found


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

    tools: Annotated[list[Tool], Field(max_length=TOOLS_MOST, fail_fast=True)] | None = Field(
        None, description="The tools that the model may call."
    )
    tool_choice: ToolChoice | None = Field(
        None, description="Whether a tool is called: none, auto (the default), required, or the one that is named."
    )
    parallel_tool_calls: bool | None = Field(None, description="Unless false, an answer may have several calls.")

    @model_validator(mode="after")
    def _asks_something(self) -> "ChatBody":
        if self.messages[-1].role == "assistant":
            raise ValueError("messages must not end with an answer")
        return self

    @model_validator(mode="after")
    def _chooses_from_tools(self) -> "ChatBody":
        names = [tool.function.name for tool in self.tools or ()]
        if len(set(names)) < len(names):
            raise ValueError("two tools have the same name")
        if self.forced_names and self.response_format and self.response_format.type != "text":
            raise ValueError("response_format can't be asked for where tool_choice requires a call")
        if isinstance(self.tool_choice, NamedTool) and self.tool_choice.function.name not in names:
            raise ValueError(f"tool_choice names '{self.tool_choice.function.name}', which is not among tools")
        if self.tool_choice == "required" and not names:
            raise ValueError("tool_choice is required, but there are no tools")
        return self

    @property
    def forced_names(self) -> list[str]:
        """The functions of which one must be called; none where a call is left to the model."""
        if isinstance(self.tool_choice, NamedTool):
            return [self.tool_choice.function.name]
        return [tool.function.name for tool in self.tools or ()] if self.tool_choice == "required" else []

    def conversation(self) -> Conversation:
        """Return the turns as training has them; a tool's results stand in the order of the calls."""
        turns: list[Turn] = []
        results: list[tuple[int, Turn]] = []
        places: dict[str, tuple[int, str]] = {}
        for message in self.messages:
            turn = message.plain()
            if message.role != "tool":
                turns += _in_order(results)
                results = []
            if message.tool_calls:
                places = {call.id: (at, call.function.name) for at, call in enumerate(message.tool_calls)}
            if message.role == "tool":
                at, name = places.get(message.tool_call_id or "", (len(places) + len(results), ""))
                results.append((at, {**turn, "name": name} if name else turn))
            else:
                turns.append(turn)
        shown = self.tools if self.tool_choice != "none" else None
        return Conversation(turns + _in_order(results), [tool.plain() for tool in shown] if shown else None)

    def sampling(self, max_new_tokens: int) -> SamplingParams:
        found = super().sampling(self.max_completion_tokens or max_new_tokens)
        return replace(found, with_markup=True)


def _in_order(results: list[tuple[int, Turn]]) -> list[Turn]:
    return [turn for _, turn in sorted(results, key=lambda one: one[0])]


class CompletionBody(AnswerBody):
    """`POST /v1/completions`: the prompt as it is, without the template."""

    prompt: (
        Content | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=100_000, fail_fast=True)]
    ) = Field(description="A text, or token ids.", examples=["Call"])
