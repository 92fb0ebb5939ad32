"""A grammar of llguidance by which an answer can only be a call of one of some tools, with arguments of its schema."""

import json
from collections.abc import Mapping
from typing import Any

from agents.base.errors import InvalidRequest
from agents.base.patterns import any_of
from agents.base.schema_bounds import SPACED, bounded_schema
from agents.chat.renderer import Renderer


def call_grammar(renderer: Renderer, functions: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the grammar. `functions`: by name, each with the JSON schema of its arguments as `parameters`.

    Raises:
        InvalidRequest: a schema can't be followed in full, or the template's calls are not written as JSON.
    """
    calls = []
    for number, (name, function) in enumerate(functions.items()):
        around = renderer.form.calls.around(name)
        if around is None:
            raise InvalidRequest(
                "The model's template writes arguments in a way that can't be held to a schema.",
                cure="Set `tool_choice` to auto or none.",
            )
        before, after = (_literals(text, renderer) for text in around)
        calls.append(f"call_{number}: {before} %json {_schema(name, function)} {after}")
    return "\n".join(["%llguidance {}", "start: " + " | ".join(f"call_{n}" for n in range(len(calls))), *calls])


def _schema(name: str, function: Mapping[str, Any]) -> str:
    try:
        bounded = bounded_schema(function.get("parameters") or {"type": "object"})
    except ValueError as fault:
        raise InvalidRequest(
            f"The schema of the tool '{name}' can't be followed: {fault}.", cure="Use a simpler one."
        ) from fault
    return json.dumps({"x-guidance": SPACED, **bounded})


def _literals(text: str, renderer: Renderer) -> str:
    """Return a text as the grammar writes it: special tokens by their numbers, all else in quotes."""
    special = [one for one in renderer.special_texts if one]
    pieces = any_of(special).split(text) if special else [text]
    found = []
    for piece in pieces:
        if piece in renderer.special_texts:
            number = renderer.tokenizer.convert_tokens_to_ids(piece)
            # One that ends answers comes behind the grammar by itself.
            found += [f"<[{number}]>"] if number not in renderer.end_token_ids else []
        elif piece:
            found.append(json.dumps(piece, ensure_ascii=False))
    return " ".join(found)
