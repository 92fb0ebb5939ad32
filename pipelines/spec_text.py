"""A spec's text, JSON or YAML, as plain data: the values that JSON can hold, and no key twice.

The API and the command line read by it, so that a spec means the same to both.
"""

import json
from typing import Any

import yaml

from agents.base.budgets import SPEC
from agents.base.errors import InvalidRequest, InvalidSpec
from agents.data.files.documents import object_once
from pipelines.plain_value import plain_value
from pipelines.yaml_text import TooMuch, read_yaml

#: The former names of two budgets.
VALUES_MOST = SPEC.values
DEPTH_MOST = SPEC.depth
PATH_SHOWN = 300


def read_document(text: bytes | str, what: str) -> Any:
    """Return the plain data of a JSON or YAML text; `what` is its name in faults.

    Raises:
        InvalidRequest: it is neither, says more than a spec may, or has values that JSON can't hold.
    """
    value = parse_document(text, what)

    def refuse(path: str, why: str) -> None:
        raise InvalidRequest(f"{what}{f', {path[:PATH_SHOWN]}' if path else ''}: {why}.")

    try:
        plain_value(value, refuse)
    except InvalidSpec as fault:
        raise InvalidRequest(f"{what}: {fault.message}", cure=fault.cure) from fault
    return value


def parse_document(text: bytes | str, what: str) -> Any:
    """Return what a JSON or YAML text says, even where it is more than JSON can hold.

    Raises:
        InvalidRequest: it is neither, or says more than a spec may.
    """
    if len(text) > SPEC.characters:
        raise InvalidRequest(
            f"{what} has {len(text):,} bytes, at most {SPEC.characters:,} are read.", cure="Leave parts out."
        )
    try:
        return json.loads(text, object_pairs_hook=object_once, parse_int=_integer, parse_float=_number)
    except (ValueError, RecursionError):
        # Read as YAML, a key that is there twice has a place, and so has a number that is too long.
        pass
    try:
        return read_yaml(text)
    except TooMuch as fault:
        raise InvalidRequest(f"{what}{_place(fault, text)}: {fault.problem}.") from fault
    except yaml.MarkedYAMLError as fault:
        raise InvalidRequest(f"{what} is neither JSON nor YAML{_place(fault, text)}: {fault.problem}.") from fault
    except (yaml.YAMLError, ValueError) as fault:
        raise InvalidRequest(f"{what} is neither JSON nor YAML: {' '.join(str(fault).split())[:300]}.") from fault


def _place(fault: yaml.MarkedYAMLError, text: bytes | str) -> str:
    mark = fault.problem_mark or fault.context_mark
    if not mark:
        return ""
    lines = (text if isinstance(text, str) else text.decode(errors="replace")).splitlines()
    if mark.line >= len(lines):
        # The end of the text, which libyaml counts as a line of its own.
        return f" at line {len(lines)}, column {len(lines[-1]) + 1}" if lines else ""
    return f" at line {mark.line + 1}, column {mark.column + 1}"


def _integer(digits: str) -> int:
    return int(_bounded(digits))


def _number(digits: str) -> float:
    return float(_bounded(digits))


def _bounded(digits: str) -> str:
    if len(digits) > SPEC.number_characters:
        raise ValueError("a number is too long")
    return digits


__all__ = ["DEPTH_MOST", "VALUES_MOST", "parse_document", "read_document", "read_yaml"]
