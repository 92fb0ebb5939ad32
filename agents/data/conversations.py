"""Conversations: rows of every shape as one normal form, a list of messages with roles that ends with an answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.data.files.records import as_json, as_text
from agents.data.types import Message, Role, Shape

#: The four roles of the normal form -> their names in published datasets.
KNOWN_AS: dict[Role, tuple[str, ...]] = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "chatgpt", "bot", "model", "function_call"),
    "tool": ("tool", "function", "observation", "function_response", "ipython"),
}
ROLES = {name: role for role, names in KNOWN_AS.items() for name in names}


class Unusable(Exception):
    """A row that can't be used as a conversation; the message is the reason's machine name."""


def read_conversation(shape: Shape, columns: Mapping[str, str], values: Mapping[str, Any]) -> list[Message]:
    """Return a row's messages, the last one an answer; turns after the last answer are left off.

    `columns`: part of the shape (`instruction`, `output`, `messages` ...) -> the column that holds it.

    Raises:
        Unusable: with `missing_text`, `no_answer`, `no_messages`, `unknown_role` or `content_is_no_text`.
    """
    cells = {part: values.get(name) for part, name in columns.items()}
    if shape in ("messages", "sharegpt"):
        messages = _turns(cells["messages"])
    else:
        messages = _system(cells.get("system")) + _pair(cells)
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if not answers or not messages[answers[-1]]["content"].strip():
        raise Unusable("no_answer")
    if not prompt_text(messages[: answers[-1] + 1]).strip():
        raise Unusable("missing_text")
    return messages[: answers[-1] + 1]


def of_text_and_label(text: str, label: str) -> list[Message]:
    """Return a row of text and label as a question and its answer."""
    return [{"role": "user", "content": text}, {"role": "assistant", "content": label}]


def prompt_text(messages: Sequence[Message]) -> str:
    """Return what was said before the last message, without system messages, which many rows have in common."""
    return "\n".join(message["content"] for message in messages[:-1] if message["role"] != "system")


def _pair(cells: Mapping[str, Any]) -> list[Message]:
    """Prompt and answer: a cell each, or of the prompt two; TRL writes either as a list of messages as well."""
    prompt, answer = cells["prompt"], cells["answer"]
    asked = _turns(prompt) if isinstance(prompt, list) else _one("user", _joined(prompt, cells.get("context")))
    said = _turns(answer) if _is_turns(answer) else _one("assistant", _content(answer))
    return asked + said


def _joined(prompt: Any, context: Any) -> str:
    return "\n\n".join(part for part in (_content(prompt), _content(context)) if part.strip())


def _one(role: Role, content: str) -> list[Message]:
    return [{"role": role, "content": content}] if content.strip() else []


def _system(value: Any) -> list[Message]:
    return _one("system", _content(value))


def _is_turns(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(turn, dict) and "role" in turn for turn in value) and bool(value)


def _turns(value: Any) -> list[Message]:
    """Return a list of turns, OpenAI's `role` and `content` or ShareGPT's `from` and `value`; CSV has it as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as fault:
            raise Unusable("no_messages") from fault
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise Unusable("no_messages")
    return [_turn(turn) for turn in value]


def _turn(turn: Mapping[str, Any]) -> Message:
    role = ROLES.get(str(turn.get("role", turn.get("from"))).strip().casefold())
    if role is None:
        raise Unusable("unknown_role")
    content, calls = turn.get("content", turn.get("value")), turn.get("tool_calls")
    return {"role": role, "content": _content(content) or (_calls(calls) if calls else "")}


def _calls(calls: Any) -> str:
    """Return an assistant's calls of tools as the JSON text that it is to learn."""
    if not isinstance(calls, list):
        raise Unusable("no_messages")
    functions = [call.get("function", call) if isinstance(call, dict) else call for call in calls]
    return _content([call if isinstance(call, dict) else str(call) for call in functions])


def _content(value: Any) -> str:
    """Return a cell as text: JSON values as compact JSON, OpenAI's text parts joined."""
    if isinstance(value, list) and value and all(isinstance(part, dict) and "type" in part for part in value):
        if any(part["type"] != "text" for part in value):
            raise Unusable("content_is_no_text")
        return "".join(str(part.get("text", "")) for part in value)
    if isinstance(value, bytes):
        raise Unusable("content_is_no_text")
    if isinstance(value, dict | list):
        return json.dumps(as_json(value), ensure_ascii=False)
    return as_text(value) or ""
