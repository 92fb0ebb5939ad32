"""How calls of tools stand in an answer's text, and how they are read back from it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from agents.chat.answers import Tools, tool_functions
from agents.data.types import ToolCall

DECODER = json.JSONDecoder(strict=False)
#: Of a name: what stands for one in a text that only looks like a call may be long.
NAME_CHARACTERS_MOST = 200
PYTHON_VALUES: dict[str, Any] = {"True": True, "False": False, "None": None}


class Found(NamedTuple):
    """Calls that stand in a text, and what else does."""

    content: str
    calls: tuple[ToolCall, ...]


class CallForm(Protocol):
    """How a template writes calls."""

    @property
    def starts(self) -> str:
        """What every call begins with; "" where only JSON at the start of an answer tells."""

    def read(self, text: str, tools: Tools | None) -> Found | None:
        """Return the calls in a text; None where it has none that is whole."""

    def around(self, name: str) -> tuple[str, str] | None:
        """Return what stands before and after the JSON of the arguments in one call; None where they aren't JSON."""


@dataclass(frozen=True)
class JsonCalls:
    """Calls whose arguments are JSON: `before`, the name, `middle`, the arguments, `after`.

    `between` joins the arguments of a call and the name of the next one; None where there is only one call.
    """

    before: str
    middle: str
    after: str
    between: str | None

    @property
    def starts(self) -> str:
        return self.before.strip()

    def read(self, text: str, tools: Tools | None) -> Found | None:
        start = text.find(self.starts)
        if start < 0 or not self.starts:
            return None
        calls: list[ToolCall] = []
        at, end = start + len(self.starts), start
        while (call := self._call(text, at)) is not None:
            calls.append(call[0])
            end = call[1]
            following = _skipped(text, end)
            if self.between is None or not text.startswith(self.between.strip(), following):
                break
            at = following + len(self.between.strip())
        if not calls:
            return None
        return Found(_rest(text, start, end, self.after), tuple(calls))

    def around(self, name: str) -> tuple[str, str] | None:
        return self.before + name + self.middle, self.after

    def _call(self, text: str, at: int) -> tuple[ToolCall, int] | None:
        divider = text.find(self.middle.strip(), at, at + NAME_CHARACTERS_MOST)
        if divider < 0:
            return None
        decoded = _decoded(text, _skipped(text, divider + len(self.middle.strip())))
        if decoded is None:
            return None
        return {"name": text[at:divider].strip(), "arguments": decoded[0]}, decoded[1]


@dataclass(frozen=True)
class EnvelopedCalls:
    """Calls that are JSON objects of a name and arguments, or a list of these, between `opens` and `closes`.

    `around_arguments`: what stands before the name, between it and the arguments, and behind them.
    """

    opens: str
    closes: str
    name_key: str
    arguments_key: str
    around_arguments: tuple[str, str, str]

    @property
    def starts(self) -> str:
        return self.opens.strip()

    def read(self, text: str, tools: Tools | None) -> Found | None:
        start = text.find(self.starts) if self.starts else _skipped(text, 0)
        if start < 0 or not (self.starts or tools):
            return None
        calls: list[ToolCall] = []
        at = end = start
        while text.startswith(self.starts, at):
            decoded = _decoded(text, _skipped(text, at + len(self.starts)))
            found = self._calls(decoded[0]) if decoded else None
            if decoded is None or not found:
                break
            calls += found
            end = decoded[1]
            if not self.starts:
                break
            following = _skipped(text, end)
            closed = text.startswith(self.closes.strip(), following)
            end = following + len(self.closes.strip()) if closed else end
            at = _skipped(text, end)
        return Found(_rest(text, start, end, self.closes), tuple(calls)) if calls else None

    def around(self, name: str) -> tuple[str, str] | None:
        before, middle, after = self.around_arguments
        return before + name + middle, after

    def _calls(self, value: Any) -> list[ToolCall]:
        found: list[ToolCall] = []
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, Mapping) or not isinstance(one.get(self.name_key), str):
                return []
            if self.arguments_key not in one:
                return []
            found.append({"name": one[self.name_key], "arguments": one[self.arguments_key]})
        return found


@dataclass(frozen=True)
class KeyedCalls:
    """Calls whose arguments stand one by one: `before`, the name, `opens`, a key, `equals`, its value, `following`, the
    next key, and so on to `closes`; `empty` behind a name without arguments. Texts stand in `quotes`, numbers don't."""

    before: str
    opens: str
    equals: str
    quotes: tuple[str, str]
    following: str
    closes: str
    empty: str
    between: str | None
    after: str
    """What closes all calls together."""

    @property
    def starts(self) -> str:
        return self.before.strip()

    def read(self, text: str, tools: Tools | None) -> Found | None:
        start = text.find(self.starts)
        if start < 0:
            return None
        functions = tool_functions(tools)
        calls: list[ToolCall] = []
        at, end = start + len(self.starts), start
        while (call := self._call(text, at, functions)) is not None:
            calls.append(call[0])
            end = call[1]
            if self.between is None or not text.startswith(self.between, end):
                break
            at = end + len(self.between)
        return Found(_rest(text, start, end, self.after), tuple(calls)) if calls else None

    def around(self, name: str) -> tuple[str, str] | None:
        return None

    def _call(self, text: str, at: int, functions: Mapping[str, Mapping[str, Any]]) -> tuple[ToolCall, int] | None:
        at = _skipped(text, at)
        window = text[at : at + NAME_CHARACTERS_MOST]
        opening, bare = window.find(self.opens), window.find(self.empty) if self.empty else -1
        if opening < 0 and bare < 0:
            return None
        if opening < 0 or 0 <= bare <= opening:
            return {"name": window[:bare].strip(), "arguments": {}}, at + bare + len(self.empty)
        name = window[:opening].strip()
        arguments: dict[str, Any] = {}
        position = at + opening + len(self.opens)
        while True:
            key_end = text.find(self.equals, position)
            if key_end < 0:
                return None
            key = text[position:key_end]
            value = self._value(text, key_end + len(self.equals), _type_of(functions.get(name), key))
            if value is None:
                return None
            arguments[key], position = value
            if text.startswith(self.following, position):
                position += len(self.following)
            elif text.startswith(self.closes, position):
                return {"name": name, "arguments": arguments}, position + len(self.closes)
            else:
                return None

    def _value(self, text: str, at: int, kind: Any) -> tuple[Any, int] | None:
        """Return the value at a place, and where it ends."""
        opens, closes = self.quotes
        if opens and text.startswith(opens, at):
            end = self._end(text, at + len(opens), closes)
            return None if end is None else (text[at + len(opens) : end], end + len(closes))
        if opens or kind != "string":
            decoded = _decoded(text, at)
            if decoded and text.startswith((self.following, self.closes), decoded[1]):
                return decoded
        end = self._end(text, at, "")
        if end is None:
            return None
        raw = text[at:end]
        return (raw if kind == "string" else PYTHON_VALUES.get(raw, raw)), end

    def _end(self, text: str, at: int, closes: str) -> int | None:
        ends = [text.find(closes + behind, at) for behind in (self.following, self.closes)]
        return min((end for end in ends if end >= 0), default=None)


def _type_of(function: Mapping[str, Any] | None, key: str) -> Any:
    """Return the JSON type that a function's argument has by its schema; None where that isn't said."""
    try:
        return (function or {})["parameters"]["properties"][key]["type"]
    except (KeyError, TypeError):
        return None


def _decoded(text: str, at: int) -> tuple[Any, int] | None:
    """Return the JSON value at a place, and where it ends; text that holds JSON counts as what it holds."""
    try:
        value, end = DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    return value, end


def _skipped(text: str, at: int) -> int:
    """Return the place of the next character that is not blank."""
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _rest(text: str, start: int, end: int, closes: str) -> str:
    """Return what a text has before `start`, and behind `end` and what closes a call."""
    behind = text[end:].lstrip().removeprefix(closes.strip()).strip()
    said = text[:start].rstrip()
    return f"{said}\n{behind}" if said and behind else said or behind
