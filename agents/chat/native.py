"""Turns as chat templates take them: OpenAI's dictionaries, with what each template wants its own way."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.chat.deriving import TurnForm
from agents.data.types import Message, ToolCall


def native_turns(messages: Sequence[Message], form: TurnForm, *, reasoning: bool) -> list[dict[str, Any]]:
    """Return messages as a template takes them. `reasoning`: whether it stays.

    A tool's result is that of the call at its place, or of the one with its name.
    """
    found: list[dict[str, Any]] = []
    waiting: list[tuple[str, str]] = []
    count = 0
    for message in messages:
        turn: dict[str, Any] = {"role": message["role"], "content": message["content"]}
        if message["role"] == "assistant":
            if calls := message.get("tool_calls"):
                ids = [f"call{count + at:05d}" for at in range(1, len(calls) + 1)]
                count += len(calls)
                waiting = [(name, call["name"]) for name, call in zip(ids, calls, strict=True)]
                turn["tool_calls"] = [_call(call, number, form) for call, number in zip(calls, ids, strict=True)]
                turn["content"] = message["content"] or form.content_beside_calls
            if reasoning and form.reasoning_key and message.get("reasoning"):
                turn[form.reasoning_key] = message["reasoning"]
        elif message["role"] == "tool":
            _name_result(turn, message, waiting)
        found.append(turn)
    return found


def as_parts(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return a turn whose text is a list of one part, as templates of models that see pictures want it."""
    return {**turn, "content": [{"type": "text", "text": turn["content"]}] if turn["content"] else []}


def _call(call: ToolCall, number: str, form: TurnForm) -> dict[str, Any]:
    arguments = call["arguments"]
    if form.arguments_as_text and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {"id": number, "type": "function", "function": {"name": call["name"], "arguments": arguments}}


def _name_result(turn: dict[str, Any], message: Message, waiting: list[tuple[str, str]]) -> None:
    name = message.get("name")
    place = next((at for at, (_, called) in enumerate(waiting) if called == name), 0)
    if waiting:
        turn["tool_call_id"], called = waiting.pop(place)
        turn["name"] = name or called
    elif name:
        turn["name"] = name
