"""Text that a person wrote, JSON or YAML, as plain data: what JSON can hold, no key twice."""

import json
from typing import Any

import yaml

from agents.base.errors import InvalidRequest, InvalidSpec
from agents.data.files.documents import object_once
from pipelines.plain import plain
from pipelines.yaml_text import read_yaml


def read_document(text: bytes | str, what: str) -> Any:
    """Return the plain data of a JSON or YAML text; `what` is its name in faults.

    Raises:
        InvalidRequest: neither, or data that JSON has no place for.
    """
    value = parse_document(text, what)
    faults: list[str] = []
    try:
        plain(value, lambda path, why: faults.append(f"{what}{f', {path}' if path else ''}: {why}."))
    except InvalidSpec as fault:
        raise InvalidRequest(f"{what}: {fault.message}") from fault
    if faults:
        raise InvalidRequest(faults[0])
    return value


def parse_document(text: bytes | str, what: str) -> Any:
    """Return what a JSON or YAML text says, be it more than JSON can hold.

    Raises:
        InvalidRequest: it is neither.
    """
    try:
        return json.loads(text, object_pairs_hook=object_once)
    except (ValueError, RecursionError):
        # Read as YAML, a key that is there twice has a place.
        pass
    try:
        return read_yaml(text)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidRequest(f"{what} is neither JSON nor YAML{place}: {fault.problem}.") from fault
    except RecursionError as fault:
        raise InvalidRequest(f"{what}: it is nested too deep.") from fault
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as fault:
        # The last two are what values of a tag fail with: `!!bool maybe`.
        raise InvalidRequest(f"{what} is neither JSON nor YAML: {' '.join(str(fault).split())}.") from fault
