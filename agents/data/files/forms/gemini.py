"""Google's forms: Gemini's `contents` of `parts`, and Vertex' pairs."""

import json
from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, Values, objects

SYSTEM = ("systemInstruction", "system_instruction")
ROLES = {"model": "assistant", "function": "tool"}


def _is_gemini(values: Values) -> bool:
    contents = objects(values.get("contents"))
    return bool(contents) and all(isinstance(content.get("parts"), list) for content in contents)


def _gemini(values: Values) -> Iterator[dict[str, Any]]:
    """Yield a conversation as `messages` of OpenAI's form, and `tools` where functions are declared."""
    system = next((values[key] for key in SYSTEM if key in values), None)
    messages = [] if system is None else [{"role": "system", "content": _said(_parts(system))}]
    for content in objects(values["contents"]):
        messages += _turns(str(content.get("role", "user")), objects(content["parts"]))
    known = {"contents", "tools", *SYSTEM}
    row: dict[str, Any] = {"messages": messages, **{key: one for key, one in values.items() if key not in known}}
    if declared := [function for tool in objects(values.get("tools")) for function in _declared(tool)]:
        row["tools"] = [{"type": "function", "function": function} for function in declared]
    yield row


def _turns(role: str, parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the turns that one content is: answers of functions are turns of their own."""
    for part in parts:
        if isinstance(answer := _either(part, "functionResponse", "function_response"), dict):
            content = json.dumps(answer.get("response"), ensure_ascii=False)
            yield {"role": "tool", "name": answer.get("name"), "content": content}
    calls = [call for part in parts if isinstance(call := _either(part, "functionCall", "function_call"), dict)]
    rest = [part for part in parts if not any(key.lower().startswith("function") for key in part)]
    if not (calls or rest):
        return
    turn: dict[str, Any] = {"role": ROLES.get(role, role), "content": _said([one for one in rest if not _thought(one)])}
    if calls:
        functions = ({"name": call.get("name"), "arguments": call.get("args", {})} for call in calls)
        turn["tool_calls"] = [{"type": "function", "function": function} for function in functions]
    if thoughts := [str(part.get("text", "")) for part in rest if _thought(part)]:
        turn["reasoning_content"] = "\n".join(thoughts)
    yield turn


def _thought(part: Values) -> bool:
    return part.get("thought") is True


def _said(parts: list[dict[str, Any]]) -> Any:
    """Return what parts say as text, or as OpenAI's parts where there is something else than text."""
    if all(isinstance(part.get("text"), str) for part in parts):
        return "".join(part["text"] for part in parts)
    return [
        {"type": "text", "text": part["text"]} if isinstance(part.get("text"), str) else {"type": next(iter(part), "")}
        for part in parts
    ]


def _parts(system: Any) -> list[dict[str, Any]]:
    if isinstance(system, str):
        return [{"text": system}]
    parts = system.get("parts") if isinstance(system, dict) else system
    return objects([parts] if isinstance(parts, dict) else parts)


def _declared(tool: Values) -> list[dict[str, Any]]:
    return objects(_either(tool, "functionDeclarations", "function_declarations"))


def _either(values: Values, *keys: str) -> Any:
    return next((values[key] for key in keys if key in values), None)


def _is_vertex(values: Values) -> bool:
    return {"input_text", "output_text"} <= values.keys()


def _vertex(values: Values) -> Iterator[dict[str, Any]]:
    rest = {key: value for key, value in values.items() if key not in {"input_text", "output_text"}}
    yield {"prompt": values["input_text"], "completion": values["output_text"], **rest}


GEMINI = Form("Gemini", _is_gemini, _gemini)
VERTEX = Form("Vertex AI", _is_vertex, _vertex)
