"""Whether a conversation can be learned: its tokens with those that carry loss, or the reason why not."""

from collections.abc import Sequence
from typing import NamedTuple

from agents.prompts import NoForm, Rendered, Renderer

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


def render(
    messages: Sequence[dict[str, str]], renderer: Renderer, max_tokens: int
) -> tuple[Rendered, None] | tuple[None, Reason]:
    """Return a conversation's tokens, or why it can't be learned."""
    if renderer.has_special_text(messages):
        return None, Reason("special_token_in_text", "a turn holds one of the model's special tokens")
    try:
        rendered = renderer.render(messages)
    except NoForm as fault:
        return None, Reason("template_refused", str(fault))
    if not any(rendered.loss_mask):
        return None, Reason("no_learned_token", "the template leaves no token to learn")
    if len(rendered.input_ids) > max_tokens:
        return None, Reason("answer_cut_off", f"{len(rendered.input_ids)} tokens, `max_tokens` is {max_tokens}")
    return rendered, None
