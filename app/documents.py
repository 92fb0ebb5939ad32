"""Text that a person wrote, JSON or YAML, as plain data: what JSON can hold, no key twice."""

import json
import math
from collections.abc import Iterator
from typing import Any

import yaml

from agents.base.errors import InvalidRequest

#: More than a person writes; in YAML, a short text of aliases can stand for millions.
VALUES_MOST = 100_000
DEPTH_MOST = 100
TOO_DEEP = "It is nested too deeply"


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once, and a date is the text that it is in JSON."""

    yaml_implicit_resolvers = {
        start: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for start, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in mapping.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    twice = f"the key '{key.value}' is there twice"
                    raise yaml.MarkedYAMLError(problem=twice, problem_mark=key.start_mark)
                seen.add(key.value)
        return mapping


def read_document(text: bytes | str, what: str) -> Any:
    """Return the plain data of a JSON or YAML text; `what` is its name in faults.

    Raises:
        InvalidRequest: neither, or data that JSON has no place for.
    """
    value = _parsed(text, what)
    try:
        for count, (path, part) in enumerate(_parts(value), start=1):
            if fault := _fault(part):
                raise InvalidRequest(f"{what}{f', {path}' if path else ''}: {fault}.")
            if count > VALUES_MOST:
                raise InvalidRequest(f"{what} has more than {VALUES_MOST:,} values.")
    except RecursionError as fault:
        raise InvalidRequest(f"{what}: {TOO_DEEP}.") from fault
    return value


def _parsed(text: bytes | str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidRequest(f"{what} is neither JSON nor YAML{place}: {fault.problem}.") from fault
    except RecursionError as fault:
        raise InvalidRequest(f"{what}: {TOO_DEEP}.") from fault
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as fault:
        # The last two are what values of a tag fail with: `!!bool maybe`.
        raise InvalidRequest(f"{what} is neither JSON nor YAML: {' '.join(str(fault).split())}.") from fault


def _parts(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield a value and all that is in it, each with its path; what an alias stands for as often as it does."""
    if depth > DEPTH_MOST:
        raise RecursionError
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        if isinstance(value, dict):
            yield path, key
        yield from _parts(part, f"{path}.{key}" if path else str(key), depth + 1)


def _fault(value: Any) -> str | None:
    """Return why JSON has no place for a value, leaving what is in it aside."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a number that can be worked with"
    if isinstance(value, str) and not value.isprintable() and any("\ud800" <= mark <= "\udfff" for mark in value):
        return "the text has half a character (a lone surrogate)"
    if value is None or isinstance(value, dict | list | str | bool | int | float):
        return None
    return f"a value of the kind '{type(value).__name__}', which JSON does not have"
