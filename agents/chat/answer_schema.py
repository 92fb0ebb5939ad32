"""The JSON schema of a task's answers, learnt from the answers in training: keys and types, no values."""

import json
from collections.abc import Iterable
from typing import Any

#: A grammar of more keys is slow, and objects with so many differing keys have no schema worth the name.
KEYS_MOST = 64
ANY_OBJECT: dict[str, Any] = {"type": "object"}
COMPACT = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
Schema = dict[str, Any]


def answer_schema(answers: Iterable[str]) -> Schema | None:
    """Return a schema that all answers keep to; None where one of them is not a JSON object, or there are none.

    Where all are written without blanks, so is what keeps to the schema (`x-guidance`, llguidance's own key).
    A key that every object has is required. An object without keys, or with more than `KEYS_MOST`, may be any object.
    """
    found: Schema | None = None
    compact = True
    for answer in answers:
        try:
            value = json.loads(answer)
        except ValueError:
            return None
        if not isinstance(value, dict):
            return None
        compact = compact and answer == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        found = _schema(value) if found is None else _merged(found, _schema(value))
    if found is None:
        return None
    return {**_finished(found), **({"x-guidance": COMPACT} if compact else {})}


def _schema(value: Any) -> Schema:
    if isinstance(value, dict):
        return {"object": {key: _schema(inner) for key, inner in value.items()}, "required": list(value)}
    if isinstance(value, list):
        items: Schema = {}
        for inner in value:
            items = _merged(items, _schema(inner))
        return {"array": items}
    return {_scalar(value): True}


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "integer" if isinstance(value, int) else "number"


def _merged(one: Schema, other: Schema) -> Schema:
    found = {**one, **other}
    if "object" in one and "object" in other:
        inner = dict(one["object"])
        for key, schema in other["object"].items():
            inner[key] = _merged(inner[key], schema) if key in inner else schema
        found["object"] = inner
        found["required"] = [key for key in one["required"] if key in other["required"]]
    if "array" in one and "array" in other:
        found["array"] = _merged(one["array"], other["array"])
    return found


def _finished(found: Schema) -> Schema:
    """Return what was gathered as JSON Schema."""
    forms = [_form(kind, found) for kind in found if kind != "required"]
    if "number" in found:
        forms = [form for form in forms if form != {"type": "integer"}]
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _form(kind: str, found: Schema) -> Schema:
    if kind == "array":
        return {"type": "array", "items": _finished(found["array"])} if found["array"] else {"type": "array"}
    if kind != "object":
        return {"type": kind}
    keys = found["object"]
    if not 0 < len(keys) <= KEYS_MOST:
        return dict(ANY_OBJECT)
    return {
        "type": "object",
        "properties": {key: _finished(schema) for key, schema in keys.items()},
        "required": found["required"],
        "additionalProperties": False,
    }
