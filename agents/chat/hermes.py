"""Tools and reasoning for templates that have no form for them: as plain text of turns, as Hermes and Qwen write it.

Source of the form: NousResearch, Hermes function calling, 2024; Qwen2.5's chat template has the same words.
"""

import json
from collections.abc import Sequence

from agents.chat.answers import Tools, answer_of
from agents.data.types import Message, Role

CALL_OPENS, CALL_ENDS = "<tool_call>\n", "\n</tool_call>"
THOUGHT_OPENS, THOUGHT_ENDS = "<think>\n", "\n</think>\n\n"
ABOUT_TOOLS = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{tools}\n</tools>\n\n"
    "For each function call, return a json object with function name and arguments within <tool_call></tool_call> "
    'XML tags:\n<tool_call>\n{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>'
)


def plain_turns(
    messages: Sequence[Message], tools: Tools | None, *, tool_role: bool, reasoning: bool, system_role: bool = True
) -> list[Message]:
    """Return turns of text alone that say what `messages` and `tools` do.

    Tools stand in the system's turn, without a `system_role` in the user's first; calls in the answer. `tool_role`:
    results keep a turn of their own; else they are in a user's. `reasoning`: whether it stands in the answer.
    """
    uses_tools = bool(tools) or any(message.get("tool_calls") for message in messages)
    found: list[Message] = []
    for message in messages:
        if message["role"] == "assistant":
            found.append(_said(with_thought_as_text(message) if reasoning else message))
        elif message["role"] == "tool" and uses_tools and not tool_role:
            _add_result(found, message["content"])
        else:
            found.append({"role": message["role"], "content": message["content"]})
    return _with_tools(found, tools, "system" if system_role else "user") if tools else found


def _said(message: Message) -> Message:
    """Return a turn whose calls stand in its text."""
    answer = answer_of(message)
    calls = [
        f'{CALL_OPENS}{{"name": {json.dumps(call["name"], ensure_ascii=False)}, '
        f'"arguments": {json.dumps(call["arguments"], ensure_ascii=False)}}}{CALL_ENDS}'
        for call in answer.calls
    ]
    said = "\n".join([*([answer.content] if answer.content else []), *calls])
    found: Message = {"role": "assistant", "content": said}
    if answer.reasoning:
        found["reasoning"] = answer.reasoning
    return found


def with_thought_as_text(message: Message) -> Message:
    """Return a turn whose reasoning stands in its text, before what is said."""
    reasoning = message.get("reasoning")
    if not reasoning:
        return message
    found: Message = {**message, "content": f"{THOUGHT_OPENS}{reasoning}{THOUGHT_ENDS}{message['content']}"}
    del found["reasoning"]
    return found


def _add_result(found: list[Message], content: str) -> None:
    """Add a tool's result; several of them share a turn, since many templates want turns to alternate."""
    text = f"<tool_response>\n{content}\n</tool_response>"
    role: Role = "user"
    if found and found[-1]["role"] == role and found[-1]["content"].endswith("</tool_response>"):
        text = f"{found.pop()['content']}\n{text}"
    found.append({"role": role, "content": text})


def _with_tools(messages: list[Message], tools: Tools, role: Role) -> list[Message]:
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    about = ABOUT_TOOLS.format(tools=listed)
    if not messages or messages[0]["role"] != role:
        return [{"role": role, "content": about}, *messages]
    said = messages[0]["content"]
    text = f"{said}\n\n{about}" if role == "system" else f"{about}\n\n{said}"
    return [{"role": role, "content": text}, *messages[1:]]
