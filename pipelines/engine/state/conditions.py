"""Conditions of nodes (`when`): do they hold, and how a person would say them. Pure."""

from typing import Any

from pipelines.plan import PlannedNode
from pipelines.spec import When


def holds(when: When, node: PlannedNode, outputs: dict[str, dict[str, Any]]) -> bool:
    """Say whether a condition holds. A figure that isn't there holds for nothing but `not_equals`."""
    value = node.when_value
    if when.output is not None:
        other, _, field = when.output.rpartition(".")
        value = outputs.get(other, {}).get(field)
    wanted = getattr(when, when.operator)
    match when.operator:
        case "equals":
            return bool(value == wanted)
        case "not_equals":
            return bool(value != wanted)
        case "one_of":
            return value in wanted
        case "at_least":
            return isinstance(value, int | float) and value >= wanted
        case "at_most":
            return isinstance(value, int | float) and value <= wanted


def describe(when: When) -> str:
    """Return a condition as a person would say it."""
    return f"{when.output or when.param} {when.operator.replace('_', ' ')} {getattr(when, when.operator)!r}"
