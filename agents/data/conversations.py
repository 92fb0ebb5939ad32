"""Conversations: rows of every shape as one normal form, a list of messages with roles that ends with an answer."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from agents.data.fields import MEDIA_FIELDS, is_empty
from agents.data.tools import parsed, read_tools
from agents.data.turns import (
    FLAGS,
    REASONING,
    TEXT_PARTS,
    Source,
    Unusable,
    are_parts,
    are_turns,
    as_content,
    is_blank,
    is_spoken,
    judges,
    read_turns,
)
from agents.data.types import Message, Role

#: Why an answer is not learned -> why a row is left out whose last answer is such a one.
LEFT_OUT = {
    "empty_answer": "no_answer",
    "answer_without_question": "missing_text",
    "marked_unlearned": "no_learned_answer",
}


class Conversation(NamedTuple):
    """What a row says, and the tools that it may call."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None


def read_conversation(columns: Mapping[str, str], values: Mapping[str, Any], source: Source) -> Conversation:
    """Return a row's messages, the last one an answer that is learned; turns after it are left off.

    `columns`: part of the shape (`prompt`, `answer`, `messages`, `tools` ...) -> the column that holds it. Answers that
    are empty, follow no question, or are marked so by the row, are kept with `learned: False`.

    Raises:
        Unusable: with `missing_text`, `no_answer`, `no_learned_answer`, `undesirable`, `no_messages`, `unknown_role`,
            `content_is_no_text` or `bad_tool_call`.
    """
    cells = {part: values.get(name) for part, name in columns.items()}
    if judges(cells.get("desirable")) is False:
        raise Unusable("undesirable")
    refuse_media(values)
    said = read_turns(cells["messages"], source) if "messages" in columns else pair(cells, columns, source)
    return Conversation(finished(opening(cells, source) + said, source), tools_of(cells, columns, source))


def refuse_media(values: Mapping[str, Any]) -> None:
    """Raise for a row with pictures or sound: without them its text asks for what is not there."""
    if not MEDIA_FIELDS.isdisjoint(values) and any(not is_empty(values.get(name)) for name in MEDIA_FIELDS):
        raise Unusable("content_is_no_text")


def opening(cells: Mapping[str, Any], source: Source) -> list[Message]:
    """Return what stands before a row's own turns: the system's turn, and the history."""
    if cells.get("system") is None and cells.get("history") is None:
        return []
    return one("system", as_content(cells.get("system"))) + _history(cells.get("history"), source)


def tools_of(cells: Mapping[str, Any], columns: Mapping[str, str], source: Source) -> list[dict[str, Any]] | None:
    """Return the tools beside a row's turns, or in the object that holds them; count them where they can't be read."""
    value = next((cells[part] for part in ("tools", "messages", "prompt") if _holds_tools(part, cells.get(part))), None)
    if is_empty(parsed(value)):
        return None
    tools = read_tools(value, filled=source.filled)
    if tools is None:
        source.notes.unused([columns.get("tools", "tools")])
    return tools or None


def _holds_tools(part: str, value: Any) -> bool:
    return not is_empty(value) and (part == "tools" or (isinstance(value, dict) and "tools" in value))


def finished(messages: Sequence[Message], source: Source) -> list[Message]:
    """Return messages up to the last answer that is learned, with those marked that are not; count both."""
    messages = _one_system(messages)
    reasons = _unlearned(messages)
    answers = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
    learned = [at for at in answers if at not in reasons]
    if not learned:
        raise Unusable(LEFT_OUT[reasons[answers[-1]]] if answers else "no_answer")
    last = learned[-1] + 1
    if not any(message["role"] != "system" and not _is_silent(message) for message in messages[: last - 1]):
        raise Unusable("missing_text")
    if last < len(messages):
        source.notes.unlearned["after_last_answer"] += len(messages) - last
    if not reasons:
        return messages[:last]
    source.notes.unlearned.update(Counter(reason for at, reason in reasons.items() if at < last))
    return [{**message, "learned": False} if at in reasons else message for at, message in enumerate(messages[:last])]


def _one_system(messages: Sequence[Message]) -> list[Message]:
    """Join the system's turns at the start to one, equal ones once: many templates write the first alone."""
    count = next((at for at, message in enumerate(messages) if message["role"] != "system"), len(messages))
    if count == 1 and not is_blank(messages[0]["content"]):
        return list(messages)
    texts = [text for message in messages[:count] if not is_blank(text := message["content"])]
    return one("system", "\n\n".join(dict.fromkeys(texts))) + list(messages[count:])


def _is_silent(message: Message) -> bool:
    return is_blank(message["content"]) and not message.get("tool_calls")


def _unlearned(messages: Sequence[Message]) -> dict[int, str]:
    """Return the places of answers that carry no loss, each with its reason."""
    reasons: dict[int, str] = {}
    asked = False
    before: Message = {"role": "system", "content": ""}
    for at, message in enumerate(messages):
        if message["role"] == "user":
            asked = not is_blank(message["content"]) or (asked and before["role"] != "assistant")
        elif message["role"] == "tool":
            asked = True
        elif message["role"] == "assistant":
            if _is_silent(message):
                reasons[at] = "empty_answer"
            elif not asked:
                reasons[at] = "answer_without_question"
            elif not message.get("learned", True):
                reasons[at] = "marked_unlearned"
        before = message
    return reasons


def of_text_and_label(text: str, label: str) -> list[Message]:
    """Return a row of text and label as a question and its answer."""
    return [{"role": "user", "content": text}, {"role": "assistant", "content": label}]


def message_text(message: Message) -> str:
    """Return what a message says as one text: its content, and the calls of tools in it as JSON."""
    calls = message.get("tool_calls")
    if not calls:
        return message["content"]
    return "\n".join(part for part in (message["content"], json.dumps(calls, ensure_ascii=False)) if part)


def spoken_text(message: Message) -> str:
    """Return all that is written in a message: its reasoning as well."""
    return "\n".join(part for part in (message.get("reasoning"), message_text(message)) if part)


def with_content(message: Message, content: str) -> Message:
    """Return a message with other content, and all else as it was."""
    return {**message, "content": content}


def prompt_text(messages: Sequence[Message]) -> str:
    """Return what was said before the last message, without system messages, which many rows have in common."""
    return "\n".join(message_text(message) for message in messages[:-1] if message["role"] != "system")


def pair(cells: Mapping[str, Any], columns: Mapping[str, str], source: Source) -> list[Message]:
    """Return prompt and answer: a cell each, or of the prompt two; TRL writes either as turns as well."""
    asked = question(cells, columns, source)
    return continued(asked, answer(cells, cells["answer"], source))


def question(cells: Mapping[str, Any], columns: Mapping[str, str], source: Source) -> list[Message]:
    """Return the prompt of a row, with its context where it has one."""
    prompt, context = cells.get("prompt"), as_content(cells.get("context"))
    if are_turns(prompt) or is_spoken(prompt):
        source.notes.unused([columns["context"]] if context.strip() else [])
        return read_turns(prompt, source)
    if isinstance(prompt, list) and are_parts(prompt, TEXT_PARTS):
        prompt = "".join(as_content(part.get("text")) for part in prompt)
    joined = _joined(as_content(prompt), context)
    return read_turns([{"role": "user", "content": joined}], source) if joined else []


def answer(cells: Mapping[str, Any], value: Any, source: Source) -> list[Message]:
    """Return an answer: turns, or one made of a cell and of what the row says about it."""
    if are_turns(value):
        return read_turns(value, source)
    about = {part: cells[part] for part in (*FLAGS, *REASONING, "tool_calls") if part in cells}
    content = value if are_parts(value, TEXT_PARTS) else as_content(value)
    return read_turns([{"role": "assistant", "content": content, **about}], source)


def continued(asked: list[Message], said: list[Message]) -> list[Message]:
    """Return a question with its answer, where the answer may repeat the question's turns before its own."""
    start = next((at for at, message in enumerate(said) if message["role"] == "assistant"), 0)
    spoken = [message for message in asked if message["role"] != "system"]
    repeated = [message for message in said[:start] if message["role"] != "system"]
    return said if repeated and [*map(message_text, repeated)] == [*map(message_text, spoken)] else asked + said


def _joined(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text.strip())


def one(role: Role, content: str) -> list[Message]:
    """Return a message, or none where there is nothing in it."""
    return [{"role": role, "content": content}] if content.strip() else []


def _history(value: Any, source: Source) -> list[Message]:
    """Return earlier turns: pairs of question and answer, or turns; also as JSON text."""
    found = parsed(value)
    if is_empty(found):
        return []
    if are_turns(found):
        return read_turns(found, source)
    if not isinstance(found, list) or not all(isinstance(two, list) and len(two) == 2 for two in found):
        raise Unusable("bad_history")
    return [
        message
        for asked, said in found
        for message in (*one("user", as_content(asked)), *one("assistant", as_content(said)))
    ]


def map_texts(message: Message, change: Callable[[str], str]) -> Message:
    """Return a message with each text in it changed: its content, its reasoning, and those in its calls."""
    found: Message = {**message, "content": change(message["content"])}
    if "reasoning" in message:
        found["reasoning"] = change(message["reasoning"])
    if "tool_calls" in message:
        found["tool_calls"] = [
            {"name": call["name"], "arguments": map_strings(call["arguments"], change)}
            for call in message["tool_calls"]
        ]
    return found


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with each string in it changed; names of keys stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: map_strings(one_value, change) for key, one_value in value.items()}
    return [map_strings(one_value, change) for one_value in value] if isinstance(value, list) else value
