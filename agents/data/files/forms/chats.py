"""What chat services export of a person's own conversations: ChatGPT's trees of messages, Claude's lists."""

from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, Values, objects

#: A tree from outside may be a ring.
TURNS_MOST = 10_000
SENDERS = {"human": "user"}


def _is_chatgpt(values: Values) -> bool:
    tree = values.get("mapping")
    return (
        isinstance(tree, dict)
        and bool(tree)
        and all(isinstance(node, dict) and "parent" in node for node in tree.values())
    )


def _chatgpt(values: Values) -> Iterator[dict[str, Any]]:
    """Yield the branch of a conversation that was shown last."""
    tree: dict[str, Any] = values["mapping"]
    place = values.get("current_node")
    if not isinstance(place, str) or place not in tree:
        place = next((name for name, node in reversed(tree.items()) if not node.get("children")), None)
    turns: list[dict[str, Any]] = []
    while isinstance(place, str) and place in tree and len(turns) < TURNS_MOST:
        turns += _turn(tree[place].get("message"))
        place = tree[place].get("parent")
    yield {"messages": turns[::-1], **({"source": values["title"]} if "title" in values else {})}


def _turn(message: Any) -> list[dict[str, Any]]:
    """Return a message as a turn; nothing where nobody saw one."""
    if not isinstance(message, dict) or not isinstance(content := message.get("content"), dict):
        return []
    metadata = message.get("metadata")
    hidden = isinstance(metadata, dict) and metadata.get("is_visually_hidden_from_conversation")
    author = message.get("author")
    role = author.get("role") if isinstance(author, dict) else None
    parts = content.get("parts")
    parts = parts if isinstance(parts, list) else []
    texts = [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in parts]
    if hidden or not any(part["type"] != "text" or part["text"].strip() for part in texts):
        return []
    if all(part["type"] == "text" for part in texts):
        return [{"role": role, "content": "".join(part["text"] for part in texts)}]
    return [{"role": role, "content": texts}]


def _is_claude(values: Values) -> bool:
    turns = objects(values.get("chat_messages"))
    return bool(turns) and all("sender" in turn for turn in turns)


def _claude(values: Values) -> Iterator[dict[str, Any]]:
    messages = [
        {"role": SENDERS.get(str(turn["sender"]), str(turn["sender"])), "content": turn.get("text") or ""}
        for turn in objects(values["chat_messages"])
    ]
    yield {"messages": messages, **({"source": values["name"]} if values.get("name") else {})}


CHATGPT = Form("ChatGPT's export", _is_chatgpt, _chatgpt)
CLAUDE = Form("Claude's export", _is_claude, _claude)
