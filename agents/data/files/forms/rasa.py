"""Rasa's training data of intents: YAML and the older JSON."""

import re
from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, Values, objects

#: `[Berlin](city)`, `[Berlin]{"entity": "city"}`: what is said stands in the first brackets.
ENTITY = re.compile(r"\[([^\]\n]+)\](?:\([^)\n]*\)|\{[^}\n]*\})")
EXAMPLE = re.compile(r"^\s*[-*+]\s+(.+?)\s*$")


def _is_rasa(values: Values) -> bool:
    data = values.get("rasa_nlu_data")
    if isinstance(data, dict):
        return isinstance(data.get("common_examples"), list)
    return any("intent" in entry for entry in objects(values.get("nlu")))


def _rasa(values: Values) -> Iterator[dict[str, Any]]:
    if "rasa_nlu_data" in values:
        for example in objects(values["rasa_nlu_data"]["common_examples"]):
            yield {"text": example.get("text"), "label": example.get("intent")}
        return
    for entry in objects(values["nlu"]):
        if "intent" in entry:
            for text in _examples(entry.get("examples")):
                yield {"text": plain(text), "label": str(entry["intent"])}


def _examples(examples: Any) -> Iterator[str]:
    if isinstance(examples, str):
        yield from (found[1] for line in examples.splitlines() if (found := EXAMPLE.match(line)))
    for example in examples if isinstance(examples, list) else []:
        text = example.get("text") if isinstance(example, dict) else example
        for line in str(text or "").splitlines():
            found = EXAMPLE.match(line)
            yield found[1] if found else line


def plain(text: str) -> str:
    """Return an example without the marks of its entities."""
    return ENTITY.sub(r"\1", text)


RASA = Form("Rasa", _is_rasa, _rasa)
