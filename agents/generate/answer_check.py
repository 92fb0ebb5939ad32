"""Answers held against a JSON schema from outside: nothing is fetched, and each check ends after bounded work."""

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import jsonschema
from referencing import Registry

from agents.base.budgets import SCHEMA
from agents.base.patterns import compiled_pattern
from agents.base.schema_bounds import bounded_schema

Keyword = Callable[[Any, Any, Any, Any], Iterator[jsonschema.ValidationError] | None]


def check_schema(schema: Mapping[str, Any]) -> None:
    """See that a schema is one, and can be followed.

    Raises:
        ValueError: it can't; the message has the place.
    """
    bounded = bounded_schema(schema)
    try:
        # Formats are not checked, and patterns were: by the engine that runs them.
        jsonschema.Draft202012Validator.check_schema(bounded, format_checker=None)
    except jsonschema.SchemaError as fault:
        raise ValueError(fault.message[:300]) from fault


def schema_fault(answer: str, schema: Mapping[str, Any]) -> str | None:
    """Return why an answer is not of a schema, as a machine name; None: it is."""
    if len(answer) > SCHEMA.answer_characters:
        return "answer_too_long"
    try:
        value = json.loads(answer, parse_constant=_finite, parse_float=_finite)
        _WORK.steps_left = SCHEMA.steps
        found = next(_validator(json.dumps(schema)).iter_errors(value), None)
    except _TooMuchWork:
        return "answer_too_complex"
    except RecursionError:
        return "answer_too_deep"
    except ValueError:
        return "answer_no_json"
    return None if found is None else "answer_not_of_schema"


class _TooMuchWork(Exception):
    """An answer's check took as many steps as it may."""


class _Work(threading.local):
    steps_left: int = 0


_WORK = _Work()


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not JSON")
    return value


def _spend(steps: int) -> None:
    _WORK.steps_left -= steps
    if _WORK.steps_left < 0:
        raise _TooMuchWork


@lru_cache(maxsize=8)
def _validator(schema: str) -> Any:
    # Of an empty registry nothing can be looked up but what the schema itself holds.
    return _Bounded(bounded_schema(json.loads(schema)), registry=Registry())


# -- keywords ---------------------------------------------------------------------------------------


def _counted(keyword: Keyword) -> Keyword:
    """Return a keyword that counts as a step, and tells one fault without the text of what is wrong: that may be long,
    and there may be many."""

    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
        size = len(value) >> 4 if isinstance(value, list | dict) else 0
        _spend(1 + size + (len(instance) >> 10 if isinstance(instance, str) else 0))
        if next(iter(keyword(validator, value, instance, schema) or ()), None) is not None:
            yield jsonschema.ValidationError("is not of the schema")

    return check


def _fault_if(wrong: bool) -> Iterator[jsonschema.ValidationError]:
    if wrong:
        yield jsonschema.ValidationError("is not of the schema")


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    return _fault_if(isinstance(instance, str) and not _found(pattern, instance))


def _found(pattern: str, text: str) -> bool:
    _spend(1 + (len(text) >> 10))
    # RE2 reads bytes, and half of a character has none.
    return compiled_pattern(pattern).search(text.encode(errors="replace").decode()) is not None


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any
) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, dict):
        for pattern, below in patterns.items():
            for name, value in instance.items():
                if _found(pattern, name):
                    yield from validator.descend(value, below, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, below: Any, instance: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, dict):
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for name, value in instance.items():
            if name not in known and not any(_found(pattern, name) for pattern in patterns):
                yield from validator.descend(value, below, path=name)


def _unique_items(_: Any, wanted: bool, instance: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    if not (wanted and isinstance(instance, list)):
        return _fault_if(False)
    return _fault_if(len({_canonical(item) for item in instance}) < len(instance))


def _canonical(value: Any) -> str:
    """Return JSON that is equal for equal values: to a schema 1.0 is 1."""
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


_OWN: dict[str, Keyword] = {
    "additionalProperties": _additional_properties,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
}
_Bounded = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {name: _counted(keyword) for name, keyword in {**jsonschema.Draft202012Validator.VALIDATORS, **_OWN}.items()},
)
