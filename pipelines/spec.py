"""A spec: a pipeline as frozen records. Unknown keys are refused."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from agents.base.records import Record

#: Names go into object store keys, log records and URLs.
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
#: Of nodes as they are written; a matrix adds its values, which may be any text.
NODE_NAME = re.compile(r"[a-z0-9_-]{1,63}")
UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

Scalar = str | int | float | bool | None
Operator = Literal["equals", "not_equals", "at_least", "at_most", "one_of"]
OPERATORS: tuple[Operator, ...] = ("equals", "not_equals", "at_least", "at_most", "one_of")


def seconds(value: object) -> object:
    """Turn `90`, `"90s"`, `"15m"`, `"2h"` or `"1d"` into seconds."""
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([smhd])", value)
        if not found:
            raise ValueError("a duration is a number with s, m, h or d, such as 90s or 2h")
        return float(found[1]) * UNIT_SECONDS[found[2]]
    return value


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False)]


class When(Record):
    """A condition as data: an earlier node's output field, or a parameter, against a value."""

    output: str | None = None
    """`node.field`, such as `evaluation.verdict`."""
    param: str | None = None
    equals: Scalar = None
    not_equals: Scalar = None
    at_least: FiniteFloat | None = None
    at_most: FiniteFloat | None = None
    one_of: list[Scalar] | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> "When":
        if (self.output is None) == (self.param is None):
            raise ValueError("name either `output` (node.field) or `param`")
        if len(self.model_fields_set & set(OPERATORS)) != 1:
            raise ValueError(f"name just one of {', '.join(OPERATORS)}")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Which operator is meant shows in what was written: one that is None, as in `equals: null`, may be it.
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}

    @property
    def operator(self) -> Operator:
        return next(operator for operator in OPERATORS if operator in self.model_fields_set)


class Node(Record):
    """One step: an agent, its config and the nodes it needs."""

    agent: str
    needs: list[str] = []
    config: dict[str, Any] = {}
    queue: str | None = Field(None, pattern=NAME_PATTERN)
    retries: int = Field(2, ge=0)
    """Further attempts after a failure that can pass by itself."""
    timeout: Duration = 86400.0
    """Seconds one attempt may take."""
    when: When | None = None
    matrix: dict[str, Any] | None = None
    """Dotted config keys -> lists of values, or `${params.x}` for such a list; every combination becomes a node."""
    cache: bool = True


class Spec(Record):
    """A pipeline."""

    name: str = Field(pattern=NAME_PATTERN)
    description: str = ""
    params: dict[str, Any] = {}
    nodes: dict[str, Node] = Field(min_length=1)
