"""What of a conversation can be learned: its tokens with those that carry loss, or the reason why not."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from agents.chat.renderer import NoForm, Rendered, Renderer
from agents.data.types import Message

CURES = {
    "answer_cut_off": "Raise preprocessing's `max_tokens`, or use a model that takes more.",
    "template_refused": "Set preprocessing's `template` to one that has a form for these turns.",
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
    """What of a conversation can be learned; nothing with a `reason`. `answers_left_out`: that are in no part."""

    parts: list[Learnable]
    reason: Reason | None = None
    answers_left_out: int = 0


def learnable(messages: Sequence[Message], renderer: Renderer, max_tokens: int, *, in_parts: bool = False) -> Found:
    """Return a conversation that fits into `max_tokens` as it is; of a longer one its first turns, up to the last
    answer that fits. With `in_parts` those after them follow: each part begins with the system's turns and a question.

    An answer is never cut: half of one teaches never to stop.
    """
    if renderer.has_special_text(messages):
        return _none("special_token_in_text", "a turn holds one of the model's special tokens")
    try:
        whole = Learnable(list(messages), renderer.render(messages))
        if not any(whole.rendered.loss_mask):
            return _none("no_learned_token", "the template leaves no token to learn")
        if len(whole.rendered.input_ids) <= max_tokens:
            return Found([whole])
        parts = _parts(messages, renderer, max_tokens, in_parts=in_parts)
    except NoForm as fault:
        return _none("template_refused", str(fault))
    if not parts:
        return _none("answer_cut_off", f"{len(whole.rendered.input_ids)} tokens, `max_tokens` is {max_tokens}")
    kept = sum(_answers(part.messages) for part in parts)
    return Found(parts, answers_left_out=_answers(messages) - kept)


def _parts(messages: Sequence[Message], renderer: Renderer, max_tokens: int, *, in_parts: bool) -> list[Learnable]:
    first = next((at for at, message in enumerate(messages) if message["role"] != "system"), len(messages))
    system, rest = list(messages[:first]), list(messages[first:])
    parts: list[Learnable] = []
    while ends := [at for at, message in enumerate(rest, start=1) if message["role"] == "assistant"]:
        fitting = bisect_right(ends, max_tokens, key=lambda end: len(renderer.render(system + rest[:end]).input_ids))
        if fitting:
            part = system + rest[: ends[fitting - 1]]
            parts.append(Learnable(part, renderer.render(part)))
        if not in_parts:
            break
        rest = _from_next_question(rest[ends[max(fitting, 1) - 1] :])
    return parts


def _from_next_question(messages: list[Message]) -> list[Message]:
    """Return messages from the first one on that a user wrote."""
    start = next((at for at, message in enumerate(messages) if message["role"] == "user"), len(messages))
    return messages[start:]


def _answers(messages: Sequence[Message]) -> int:
    return sum(message["role"] == "assistant" for message in messages)


def _none(kind: str, detail: str) -> Found:
    return Found([], Reason(kind, detail))
