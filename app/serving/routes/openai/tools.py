"""Tools in requests and answers of the OpenAI-compatible routes."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from agents.base.schema_bounds import bounded_schema
from agents.data.types import ToolCall as Call

TOOLS_MOST = 128
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_.-]+$")]


class Function(BaseModel):
    """A function that the model may call."""

    name: Name = Field(description="The function's name.", examples=["get_weather"])
    description: Annotated[str, Field(max_length=20_000)] | None = Field(None, description="What it does.")
    parameters: dict[str, Any] | None = Field(
        None,
        description="The JSON Schema of its arguments.",
        examples=[{"type": "object", "properties": {"city": {"type": "string"}}}],
    )
    strict: bool | None = Field(None, description="Arguments are held to the schema where a call is required.")

    @field_validator("parameters")
    @classmethod
    def _can_be_followed(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            bounded_schema(value or {})
        except ValueError as fault:
            raise ValueError(f"the JSON schema can't be followed: {fault}") from fault
        return value


class Tool(BaseModel):
    """A tool; there are functions alone."""

    type: Literal["function"] = Field(description="The kind of tool; there is one.")
    function: Function = Field(description="The function.")

    def plain(self) -> dict[str, Any]:
        """Return it as rows have it."""
        facts = ("name", self.function.name), ("description", self.function.description)
        given = *facts, ("parameters", self.function.parameters)
        return {"type": "function", "function": {key: value for key, value in given if value is not None}}


class NamedFunction(BaseModel):
    """The name of a function."""

    name: Name = Field(description="The function's name.", examples=["get_weather"])


class NamedTool(BaseModel):
    """The one tool that must be called."""

    type: Literal["function"] = Field(description="The kind of tool; there is one.")
    function: NamedFunction = Field(description="The function.")


ToolChoice = Literal["none", "auto", "required"] | NamedTool


class CalledFunction(BaseModel):
    """A function with its arguments."""

    name: Name = Field(description="The function's name.", examples=["get_weather"])
    arguments: Annotated[str, Field(max_length=200_000)] = Field(
        description="The arguments as JSON text.", examples=['{"city": "Oslo"}']
    )

    @field_validator("arguments")
    @classmethod
    def _is_json(cls, value: str) -> str:
        try:
            json.loads(value or "{}")
        except (ValueError, RecursionError):
            raise ValueError("arguments must be JSON text") from None
        return value


class ToolCall(BaseModel):
    """A call that the model made."""

    id: Annotated[str, Field(max_length=200)] = Field(description="By which its result names it.", examples=["call_0"])
    type: Literal["function"] = Field("function", description="The kind of tool; there is one.")
    function: CalledFunction = Field(description="What is called.")

    def plain(self) -> Call:
        """Return it as rows have it."""
        return {"name": self.function.name, "arguments": json.loads(self.function.arguments or "{}")}


def call_record(call: Call, number: str) -> dict[str, Any]:
    """Return a call as answers have it."""
    arguments = call["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": number, "type": "function", "function": {"name": call["name"], "arguments": text}}
