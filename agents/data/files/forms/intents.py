"""Intents of small chatbots: a tag with the patterns that people say, as tutorials and courses hand them on."""

from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, Values, objects

PATTERNS = ("patterns", "examples", "utterances", "training_phrases")
TAGS = ("tag", "intent", "name")


def _is_intents(values: Values) -> bool:
    intents = objects(values.get("intents"))
    return bool(intents) and all(_tag(one) is not None and _patterns(one) is not None for one in intents)


def _tag(intent: Values) -> str | None:
    return next((str(intent[key]) for key in TAGS if isinstance(intent.get(key), str)), None)


def _patterns(intent: Values) -> list[str] | None:
    found = next((intent[key] for key in PATTERNS if isinstance(intent.get(key), list)), None)
    return found if found is not None and all(isinstance(one, str) for one in found) else None


def _intents(values: Values) -> Iterator[dict[str, Any]]:
    for intent in objects(values["intents"]):
        for pattern in _patterns(intent) or ():
            yield {"text": pattern, "label": _tag(intent)}


INTENTS = Form("intents with patterns", _is_intents, _intents)
