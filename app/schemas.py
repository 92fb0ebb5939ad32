"""What the bodies of both services are made of, and the one answer of every error."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

#: A text with a character that no reader of patterns takes for white space.
NOT_BLANK = r"[^\s\u0085\ufeff]"
NO_NUL = r"^[^\u0000]*$"
#: What is written as text of seconds since 1970.
Moment = Annotated[float, Field(examples=[1767225600.25])]


#: Each key that is not known is a fault of its own, and a body has room for a million.
KEYS_MOST = 100


def _whole(value: object) -> object:
    """JSON has one kind of numbers: 3.0 is the whole number 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: Of a whole number in a body.
AnyWhole = BeforeValidator(_whole)


class Body(BaseModel):
    """A request's body: unknown keys are refused, and nothing becomes another type (`"0"` is not a number)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _has_few_keys(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > KEYS_MOST:
            raise ValueError(f"has more than {KEYS_MOST} keys")
        return value


class View(BaseModel):
    """An answer's body. Fields with a default are there in every answer, so the document calls them required."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class PartialView(BaseModel):
    """An answer's body of what was kept at the time: a field that was not written then is absent."""


class FaultDetail(View):
    """One thing that is wrong; your own agents may add fields."""

    model_config = ConfigDict(extra="allow", json_schema_serialization_defaults_required=False)

    path: str = Field("", description="Where it is.", examples=["nodes.training.config.epochs"])
    message: str = Field("", description="What is wrong there.", examples=["should be greater than 0"])


class Fault(View):
    """The answer of every error, and what a failed node keeps as its error."""

    error: str = Field(
        description="The error's name for programs; the page on HTTP has them all.", examples=["NOT_FOUND"]
    )
    message: str = Field(
        description="What is wrong, where, and how to fix it, for people.",
        examples=["There is no job 'job_x'. See `tuneline jobs`."],
    )
    details: list[FaultDetail] = Field(description="Each single fault of a request or a spec; empty for other errors.")


class Progress(View):
    """How far a node is; the agent adds values of its own, such as `loss` or `tokens_per_s`."""

    model_config = ConfigDict(extra="allow")

    done: float = Field(description="How much is done, in the agent's own units.", examples=[120])
    total: float = Field(description="How much there is to do.", examples=[400])
    eta_s: float | None = Field(None, description="Seconds until the end, estimated.", examples=[35.5])
