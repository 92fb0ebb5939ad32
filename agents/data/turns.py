"""Turns of conversations: each of a published form becomes a message, with what it says, calls and thinks."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from agents.data.cleaning import VISIBLE
from agents.data.fields import MEDIA_FIELDS, Notes, is_empty, is_harmless
from agents.data.files.records import as_json, as_text, whole_characters
from agents.data.tools import call_ids, parsed, read_calls
from agents.data.types import Message, Role, ToolCall

#: The four roles of the normal form -> their names in published datasets.
KNOWN_AS: dict[Role, tuple[str, ...]] = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "chatgpt", "bot", "model"),
    "tool": ("tool", "function", "observation", "function_response", "tool_response", "tool_result", "ipython"),
}
ROLES = {name: role for role, names in KNOWN_AS.items() for name in names}
#: Roles of turns that are calls of tools, as JSON.
CALLING = frozenset({"function_call", "tool_call", "tool_calls"})
CONTENT, REASONING = ("content", "value", "text"), ("reasoning_content", "reasoning", "thinking", "thought")
#: Flags of a turn -> whether a true one says that the turn carries loss.
FLAGS = {
    **dict.fromkeys(("weight", "train", "training", "trainable", "learn", "learned", "loss", "loss_weight"), True),
    **dict.fromkeys(("loss_mask", "train_on_turn", "include_in_loss"), True),
    **dict.fromkeys(("mask", "masked", "ignore", "no_loss", "ignore_loss"), False),
}
JUDGEMENT_WORDS = {
    "desirable": True,
    "undesirable": False,
    "chosen": True,
    "rejected": False,
    "good": True,
    "bad": False,
}
#: Fields of a turn that are read; `tool_call_id` gives a tool's turn its name.
USED = frozenset({"role", "from", "tool_calls", "function_call", "refusal", "name", *CONTENT, *REASONING, *FLAGS})
#: Types of a content's parts that are text.
TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
#: Where a picture stood in a question: at the start or end of a line. Elsewhere it may be talk of HTML.
MEDIA_MARK = re.compile(r"^[ \t]*<\|?(?:image|video|audio)\|?>|<\|?(?:image|video|audio)\|?>[ \t]*$", re.MULTILINE)
#: Dialogues as one text, as those of Anthropic's hh-rlhf.
SPOKEN = re.compile(r"(?:^|\n\n)(Human|Assistant|System):[ \t]?")


class Unusable(Exception):
    """A row that can't be used; the message is the reason's machine name."""


class Source(NamedTuple):
    """What turns are read from. `filled`: Arrow, which writes null where an object of a list lacks a key of another."""

    notes: Notes
    filled: bool = False


def read_turns(value: Any, source: Source) -> list[Message]:
    """Return the messages of a list of turns, OpenAI's `role` and `content` or ShareGPT's `from` and `value`.

    Also one turn alone, an object with `messages`, and each of these as JSON text; and a dialogue as one text.

    Raises:
        Unusable: with `no_messages`, `unknown_role`, `content_is_no_text` or `bad_tool_call`.
    """
    if isinstance(value, str):
        value = _spoken(value) or parsed(value)
    if isinstance(value, dict):
        value = value["messages"] if isinstance(value.get("messages"), list) else [value]
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise Unusable("no_messages")
    names: dict[str, str] = {}
    messages: list[Message] = []
    for turn in value:
        if plain := _plain_turn(turn):
            messages.append(plain)
        else:
            messages.extend(_turn(turn, source, names))
    return messages


def _plain_turn(turn: Mapping[str, Any]) -> Message | None:
    """Return the message of a turn that is nothing but a known role and a text, as most are; None of any other."""
    if len(turn) != 2:
        return None
    named, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    role = ROLES.get(named) if isinstance(named, str) else None
    if role is None or not isinstance(content, str) or (role == "user" and "<" in content):
        return None
    return {"role": role, "content": whole_characters(content)}


def are_turns(value: Any) -> bool:
    """Say whether a value is a turn, a list of turns, or an object with them."""
    if isinstance(value, dict):
        return _is_turn(value) or are_turns(value.get("messages"))
    return isinstance(value, list) and bool(value) and all(map(_is_turn, value))


def _is_turn(value: Any) -> bool:
    if not isinstance(value, dict) or not ("role" in value or "from" in value):
        return False
    return _role_name(value) in ROLES.keys() | CALLING or any(key in value for key in CONTENT)


def _role_name(turn: Mapping[str, Any]) -> str:
    return str(turn.get("role") or turn.get("from")).strip().casefold().replace("-", "_")


def is_spoken(value: Any) -> bool:
    """Say whether a text is a dialogue of Human and Assistant."""
    return isinstance(value, str) and bool(_spoken(value))


def _spoken(text: str) -> list[dict[str, str]]:
    if not text.lstrip().startswith(("Human:", "System:")):
        return []
    _, *pieces = SPOKEN.split(text.lstrip())
    return [
        {"role": {"Human": "user"}.get(who, who.lower()), "content": said.strip()}
        for who, said in zip(pieces[::2], pieces[1::2], strict=True)
    ]


def is_blank(text: str) -> bool:
    """Say whether a text has nothing that anybody sees."""
    return VISIBLE.search(text) is None


class _Said(NamedTuple):
    """What the parts of a content hold."""

    texts: list[str]
    thoughts: list[str]
    calls: list[ToolCall]
    results: list[Message]


def _turn(turn: Mapping[str, Any], source: Source, names: dict[str, str]) -> Iterator[Message]:
    """Yield the messages of a turn. `names`: id of a call -> name of its tool, of the turns so far."""
    named = _role_name(turn)
    role = "assistant" if named in CALLING else ROLES.get(named)
    if role is None:
        raise Unusable("unknown_role")
    if any(not is_empty(turn.get(key)) for key in MEDIA_FIELDS & turn.keys()):
        raise Unusable("content_is_no_text")
    contents = [turn[key] for key in CONTENT if not is_empty(turn.get(key))]
    said = _said(contents[0] if contents else None, source, names)
    yield from said.results
    message: Message = {"role": role, "content": "".join(said.texts)}
    unused = [key for key in turn if key not in USED and not is_harmless(key) and not is_empty(turn[key])]
    if len(contents) > 1:
        unused += [key for key in CONTENT if turn.get(key) not in (None, contents[0])]
    if role == "assistant":
        unused += _answer(message, turn, said, source, names, calling=named in CALLING)
    else:
        unused += _asked(message, turn, names)
    source.notes.unused(f"messages.{key}" for key in unused)
    if said.results and not message["content"]:
        return
    yield message


def _asked(message: Message, turn: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Complete a message that is not an answer; return the fields that are not used."""
    unused = [key for key in FLAGS if key in turn and learns(key, turn[key]) is True and turn[key] is not None]
    unused += [key for key in ("tool_calls", "function_call", "refusal", *REASONING) if not is_empty(turn.get(key))]
    name = turn.get("name")
    if message["role"] == "tool":
        name = name if isinstance(name, str) else None
        if name := name or names.get(str(turn.get("tool_call_id"))):
            message["name"] = name
    elif name:
        unused.append("name")
    if message["role"] == "user" and "</" not in message["content"] and MEDIA_MARK.search(message["content"]):
        raise Unusable("content_is_no_text")
    return unused


def _answer(
    message: Message, turn: Mapping[str, Any], said: _Said, source: Source, names: dict[str, str], *, calling: bool
) -> list[str]:
    """Complete an answer by its calls, its reasoning and whether it is learned; return the fields that are not used."""
    unused = ["name"] if turn.get("name") else []
    written = [turn[key] for key in ("tool_calls", "function_call") if not is_empty(turn.get(key))]
    calls = list(said.calls)
    for value in written:
        read = read_calls(value, filled=source.filled)
        if read is None:
            raise Unusable("bad_tool_call")
        calls += read
        names.update(call_ids(parsed(value)))
    if calling and (read := read_calls(message["content"], filled=source.filled)):
        calls, message["content"] = calls + read, ""
    if calls:
        message["tool_calls"] = calls
    unused += _refusal(message, turn)
    thoughts = list(said.thoughts)
    for key in REASONING:
        if isinstance(turn.get(key), str):
            thoughts += [turn[key]] if turn[key].strip() and turn[key] not in thoughts else []
        elif not is_empty(turn.get(key)):
            unused.append(key)
    if thoughts:
        message["reasoning"] = "\n".join(thoughts)
    for key in FLAGS:
        if (value := turn.get(key)) is not None:
            learned = learns(key, value)
            if learned is None:
                unused.append(key)
            elif not learned:
                message["learned"] = False
    return unused


def _refusal(message: Message, turn: Mapping[str, Any]) -> list[str]:
    """Take a refusal as the answer where there is no other; return it as unused where there is."""
    refusal = turn.get("refusal")
    if is_empty(refusal):
        return []
    if isinstance(refusal, str) and is_blank(message["content"]):
        message["content"] = refusal
        return []
    return ["refusal"]


def learns(flag: str, value: Any) -> bool | None:
    """Say whether a flag of a turn says that it carries loss; None: it says neither, as a weight of 0.5 does."""
    said = parsed(value.strip().casefold()) if isinstance(value, str) else value
    if said in (0, 1):
        return bool(said) == FLAGS[flag]
    return None


def judges(value: Any) -> bool | None:
    """Say whether a value judges an answer to be a good one; None: it is no judgement."""
    word = value.strip().casefold() if isinstance(value, str) else value
    return JUDGEMENT_WORDS[word] if isinstance(word, str) and word in JUDGEMENT_WORDS else learns("learned", word)


def _said(value: Any, source: Source, names: dict[str, str]) -> _Said:
    """Return what a content holds: text, or parts of text, of thinking and of tools."""
    said = _Said([], [], [], [])
    parts = [value] if isinstance(value, dict) and "type" in value else value
    if not are_parts(parts):
        said.texts.append(as_content(value))
        return said
    for part in parts:
        kind = part["type"]
        if kind in TEXT_PARTS:
            said.texts.append(as_content(part.get("text") or part.get("content") or part.get("refusal")))
        elif kind in ("thinking", "reasoning"):
            said.thoughts.append(as_content(part.get("thinking") or part.get("reasoning") or part.get("text")))
        elif kind in ("tool_use", "tool_call"):
            read = read_calls([part], filled=source.filled)
            if read is None:
                raise Unusable("bad_tool_call")
            said.calls.extend(read)
            names.update(call_ids([part]))
        elif kind == "tool_result":
            said.results.append(_result(part, source, names))
        else:
            raise Unusable("content_is_no_text")
    return said


def _result(part: Mapping[str, Any], source: Source, names: dict[str, str]) -> Message:
    message: Message = {"role": "tool", "content": "".join(_said(part.get("content"), source, names).texts)}
    if name := names.get(str(part.get("tool_use_id"))):
        message["name"] = name
    return message


def are_parts(value: Any, kinds: frozenset[str] | None = None) -> bool:
    """Say whether a content is a list of parts that have types, each of `kinds`."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in value)
        and (kinds is None or all(part["type"] in kinds for part in value))
    )


def as_content(value: Any) -> str:
    """Return a cell as a message's text: lists and objects as JSON, numbers and truths as JSON has them.

    Raises:
        Unusable: it is bytes.
    """
    if isinstance(value, bytes):
        raise Unusable("content_is_no_text")
    if isinstance(value, list) and not value:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(as_json(value), ensure_ascii=False)
    return as_text(value) or ""
