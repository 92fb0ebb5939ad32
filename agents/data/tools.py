"""Tools and calls of tools, in the forms that published data have, as the one form that templates take."""

import ast
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from agents.data.files.records import as_json
from agents.data.types import ToolCall

#: Longer texts are not read as Python's. A text is tried so often.
PYTHON_CHARACTERS, LITERAL_TRIES = 200_000, 10
#: Names of a call's arguments: OpenAI's, Anthropic's, and those of others.
ARGUMENTS = ("arguments", "input", "args", "parameters", "kwargs")
#: Names of a tool's schema of arguments: OpenAI's and Anthropic's.
SCHEMAS = ("parameters", "input_schema", "arguments")


def parsed(value: Any) -> Any:
    """Return the value that a text writes as JSON, or as Python; the text itself where it writes none. Other values
    are returned as they are."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return _python_value(value)


def _python_value(text: str) -> Any:
    """Return the list or object that a text writes as Python does, as tables that pandas wrote have them."""
    if len(text) > PYTHON_CHARACTERS or text[:1] + text[-1:] not in ("[]", "{}"):
        return text
    try:
        # Through JSON, so that there is nothing in it that JSON can't hold.
        return json.loads(json.dumps(_literal(text), allow_nan=False))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _literal(text: str) -> Any:
    # Python 3.11 takes a collection of garbage meanwhile for a fault of its own (gh-106905): once more is right.
    for _ in range(LITERAL_TRIES):
        with suppress(SystemError):
            return ast.literal_eval(text)
    raise ValueError("Python can't read it")


def read_tools(value: Any, *, filled: bool) -> list[dict[str, Any]] | None:
    """Return tools in OpenAI's form, `{"type": "function", "function": {...}}`; None: they can't be read.

    `value`: a list of such tools, of bare functions or of tools as Anthropic has them, or one tool; also as JSON text.
    `filled`: it is from Arrow, which gives each object the keys of all others, with nulls.
    """
    found = parsed(value)
    if isinstance(found, dict):
        found = found.get("tools", found.get("functions")) or [found]
    if not isinstance(found, list):
        return None
    tools = [_tool(parsed(tool), filled=filled) for tool in found]
    return None if None in tools else [tool for tool in tools if tool is not None]


def _tool(tool: Any, *, filled: bool) -> dict[str, Any] | None:
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    function = parsed(function)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    schema = next((key for key in SCHEMAS if function.get(key) is not None), None)
    # A name of a tool that was wrapped already is left as it is.
    facts = {"parameters" if key == schema else key: value for key, value in function.items() if key != "type"}
    plain = as_json(without_nulls(facts) if filled else facts)
    if isinstance(plain.get("parameters"), str):
        plain["parameters"] = parsed(plain["parameters"])
    return {"type": "function", "function": plain}


def read_calls(value: Any, *, filled: bool) -> list[ToolCall] | None:
    """Return calls of tools; None: they can't be read.

    `value`: one call or a list of them, each OpenAI's `{"function": {"name", "arguments"}}` or bare, also as JSON text.
    """
    found = parsed(value)
    calls = found if isinstance(found, list) else [found]
    read = [_call(parsed(call), filled=filled) for call in calls]
    return None if None in read else [call for call in read if call is not None]


def _call(call: Any, *, filled: bool) -> ToolCall | None:
    function = parsed(call.get("function", call)) if isinstance(call, dict) else None
    if isinstance(function, str) and isinstance(call, dict):
        # `{"function": "name", "arguments": {...}}`
        function = {**call, "name": function}
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        return None
    arguments: Any = next((function[key] for key in ARGUMENTS if function.get(key) is not None), {})
    value = parsed(arguments)
    if filled and not isinstance(arguments, str):
        value = without_nulls(value)
    return {"name": function["name"], "arguments": as_json(value)}


def without_nulls(value: Any) -> Any:
    """Return a value without the keys that are null, at any depth: Arrow writes them into all objects of a column."""
    if isinstance(value, Mapping):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def call_ids(calls: Any) -> Iterable[tuple[str, str]]:
    """Yield the id of each call that has one, and the name of its tool."""
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, dict) and isinstance(call.get("id"), str):
            function = parsed(call.get("function", call))
            name = function.get("name") if isinstance(function, dict) else function
            if isinstance(name, str):
                yield call["id"], name
