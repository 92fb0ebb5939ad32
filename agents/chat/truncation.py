"""What of a conversation can be learned: its tokens with those that carry loss, or the reason why not."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from agents.chat.answers import Tools
from agents.chat.renderer import NoForm, Rendered, Renderer
from agents.data.types import Message

CURES = {
    "answer_cut_off": "Raise preprocessing's `max_tokens`, or use a model that takes more.",
    "template_refused": "Set preprocessing's `template` to one that has a form for these turns; where reasoning has "
    "none, set `reasoning` to drop.",
    "special_token_in_text": "Take the tokens of the model's own markup out of the texts.",
    "no_learned_token": "Set preprocessing's `template` to another one.",
}


class Reason(NamedTuple):
    """Why a conversation can't be learned. `kind`: a key of `CURES`."""

    kind: str
    detail: str


class Learnable(NamedTuple):
    """A conversation, or a part of one, that ends with a whole answer; and its tokens."""

    messages: list[Message]
    rendered: Rendered


class Found(NamedTuple):
    """What of a conversation can be learned, and the `reason` why not all of it. `answers_left_out`: in no part."""

    parts: list[Learnable]
    reason: Reason | None = None
    answers_left_out: int = 0


def learnable(
    messages: Sequence[Message],
    renderer: Renderer,
    max_tokens: int,
    *,
    tools: Tools | None = None,
    in_parts: bool = False,
) -> Found:
    """Return a conversation that fits into `max_tokens` as it is; of a longer one its first turns, up to the last
    answer that fits. With `in_parts` those after them follow: each part begins with the system's turns and a question.

    An answer is never cut: half of one teaches never to stop. Where the template writes an answer otherwise once more
    turns follow, the turns up to that answer are a part of their own.
    """
    if renderer.has_special_text(messages, tools):
        return _none("special_token_in_text", "a turn holds a special token of the template's markup")
    try:
        views, refused = _views(messages, renderer, tools)
        if not views:
            return _none("no_learned_token", "the template leaves no token to learn")
        parts = [part for view in views for part in _fitting(view, renderer, max_tokens, tools, in_parts=in_parts)]
    except NoForm as fault:
        return _none("template_refused", str(fault))
    if not parts:
        return _none("answer_cut_off", f"{len(views[-1].rendered.input_ids)} tokens, `max_tokens` is {max_tokens}")
    kept = sum(len(_ends(part.messages)) for part in parts)
    reason = Reason("template_refused", str(refused)) if refused else None
    return Found(parts, reason, answers_left_out=len(_ends(messages)) - kept)


def _views(
    messages: Sequence[Message], renderer: Renderer, tools: Tools | None
) -> tuple[list[Learnable], NoForm | None]:
    """Return the conversation, and before it the parts in which those of its answers are learned that it can't teach;
    and why others are in none. Raises NoForm where no answer is in any."""
    wanted = {end - 1 for end in _ends(messages)}
    found: list[Learnable] = []
    refused: NoForm | None = None
    while wanted:
        turns = [
            message if message["role"] != "assistant" or at in wanted else _unlearned(message)
            for at, message in enumerate(messages[: max(wanted) + 1])
        ]
        try:
            view = renderer.view(turns, tools)
        except NoForm as fault:
            # The answers before it may have a form.
            refused = refused or fault
            wanted.discard(max(wanted))
            continue
        if not view.learned or not any(view.rendered.loss_mask):
            break
        # What is learned in a later part is not learned again.
        turns = [
            message if message["role"] != "assistant" or at in view.learned else _unlearned(message)
            for at, message in enumerate(turns)
        ]
        found.append(Learnable(turns, view.rendered))
        wanted -= view.learned
    if refused and not found:
        raise refused
    return found[::-1], refused


def _fitting(
    view: Learnable, renderer: Renderer, max_tokens: int, tools: Tools | None, *, in_parts: bool
) -> list[Learnable]:
    if len(view.rendered.input_ids) <= max_tokens:
        return [view]
    return _parts(view.messages, renderer, max_tokens, tools, in_parts=in_parts)


def _parts(
    messages: Sequence[Message], renderer: Renderer, max_tokens: int, tools: Tools | None, *, in_parts: bool
) -> list[Learnable]:
    first = next((at for at, message in enumerate(messages) if message["role"] != "system"), len(messages))
    system, rest = list(messages[:first]), list(messages[first:])
    parts: list[Learnable] = []

    def tokens(end: int) -> int:
        return len(renderer.render(system + rest[:end], tools).input_ids)

    while ends := _ends(rest):
        fitting = bisect_right(ends, max_tokens, key=tokens)
        if fitting:
            part = system + rest[: ends[fitting - 1]]
            parts.append(Learnable(part, renderer.render(part, tools)))
        if not in_parts:
            break
        rest = _from_next_question(rest[ends[max(fitting, 1) - 1] :])
    return parts


def _from_next_question(messages: list[Message]) -> list[Message]:
    """Return messages from the first one on that a user wrote."""
    start = next((at for at, message in enumerate(messages) if message["role"] == "user"), len(messages))
    return messages[start:]


def _ends(messages: Sequence[Message]) -> list[int]:
    """Return the places behind each answer that is to be learned."""
    return [
        at
        for at, message in enumerate(messages, start=1)
        if message["role"] == "assistant" and message.get("learned", True)
    ]


def _unlearned(message: Message) -> Message:
    return {**message, "learned": False} if message.get("learned", True) else message


def _none(kind: str, detail: str) -> Found:
    return Found([], Reason(kind, detail))
