"""An answer in its parts: what is said, what was thought before it, and the tools that are called."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from agents.data.types import Message, ToolCall

Tools = Sequence[Mapping[str, Any]]


class Conversation(NamedTuple):
    """Turns, and the schemas of the functions that can be called in them."""

    messages: Sequence[Message]
    tools: Tools | None = None


#: Turns alone are a conversation without tools.
Prompt = Conversation | Sequence[Message]


def as_conversation(prompt: Prompt) -> Conversation:
    """Return a prompt as a conversation."""
    return prompt if isinstance(prompt, Conversation) else Conversation(prompt)


#: How reasoning and calls stand in the text of a turn where rows have them so: as DeepSeek R1 and Hermes write them.
INLINE_REASONING = re.compile(r"\s*<think>(.*?)</think>(.*)", re.DOTALL)
INLINE_CALLS = re.compile(r"(.*?)((?:\s*<tool_call>.*?</tool_call>)+)\s*", re.DOTALL)
INLINE_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """A turn of the assistant."""

    content: str
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()

    @property
    def text(self) -> str:
        """The answer as one text, without the reasoning: what is said, or with calls JSON of both."""
        if not self.calls:
            return self.content
        said = {"content": self.content.strip()} if self.content.strip() else {}
        return json.dumps({**said, "tool_calls": list(self.calls)}, ensure_ascii=False)


def answer_of(message: Message) -> Answer:
    """Return the parts of an assistant's turn."""
    return Answer(message["content"], message.get("reasoning", ""), tuple(message.get("tool_calls", ())))


def same_parts(one: Answer, other: Answer) -> bool:
    """Say whether two answers are the same but for blanks around their texts; calls are compared as JSON values."""
    texts = (one.content, other.content), (one.reasoning, other.reasoning)
    return all(ours.strip() == theirs.strip() for ours, theirs in texts) and _canonical(one) == _canonical(other)


def taken_apart(message: Message) -> Message:
    """Return an assistant's turn whose text has reasoning or calls in it with these in their own places."""
    content = message["content"]
    if message["role"] != "assistant" or "<t" not in content:
        return message
    found: Message = {**message}
    if "reasoning" not in found and (thought := INLINE_REASONING.fullmatch(content)):
        reasoning, content = thought[1].strip(), thought[2].strip()
        if reasoning:
            found["reasoning"] = reasoning
    if not found.get("tool_calls") and (calling := INLINE_CALLS.fullmatch(content)):
        calls = [_inline_call(text) for text in INLINE_CALL.findall(calling[2])]
        whole = [call for call in calls if call is not None]
        if len(whole) == len(calls):
            found["tool_calls"], content = whole, calling[1].strip()
    found["content"] = content
    return found


def _inline_call(text: str) -> ToolCall | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and isinstance(value.get("name"), str) and "arguments" in value:
        return {"name": value["name"], "arguments": value["arguments"]}
    return None


def _canonical(answer: Answer) -> list[str]:
    return [json.dumps(call, sort_keys=True) for call in answer.calls]


def tool_functions(tools: Tools | None) -> dict[str, Mapping[str, Any]]:
    """Return the functions that tools are, by name: OpenAI's `{"type": "function", "function": {...}}` or bare ones."""
    functions = [tool.get("function", tool) for tool in tools or ()]
    return {str(one.get("name")): one for one in functions if isinstance(one, Mapping)}
