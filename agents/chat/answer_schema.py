"""The JSON schema of a task's answers, learnt from the answers in training: keys and types, no values."""

import json
from collections.abc import Iterable
from typing import Any

from genson import SchemaBuilder

from agents.base.schema_bounds import COMPACT, bounded_schema

#: A grammar of more keys is slow, and objects with so many differing keys have no schema worth the name.
KEYS_MOST = 64
Schema = dict[str, Any]


def answer_schema(answers: Iterable[str]) -> Schema | None:
    """Return a schema that all answers keep to; None where one of them is not a JSON object, or there are none.

    Where all are written without blanks, so is what keeps to the schema (`x-guidance`, llguidance's own key).
    A key that every object has is required. An object without keys, or with more than `KEYS_MOST`, may be any object.
    """
    builder = SchemaBuilder(schema_uri=None)
    compact, is_empty = True, True
    for answer in answers:
        try:
            value = json.loads(answer)
            if not isinstance(value, dict):
                return None
            compact = compact and answer == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            builder.add_object(value)
        except (ValueError, RecursionError):
            return None
        is_empty = False
    if is_empty:
        return None
    return {**_bounded(builder), **({"x-guidance": COMPACT} if compact else {})}


def _bounded(builder: Any) -> Schema:
    """Return the schema, or that of any object where it is larger than a grammar can be made of."""
    try:
        return dict(bounded_schema(_closed(builder.to_schema())))
    except (ValueError, RecursionError):
        return {"type": "object"}


def _closed(schema: Schema) -> Schema:
    """Return a schema whose objects have the keys that were seen, in the order they were seen, and no others."""
    if "anyOf" in schema:
        return {"anyOf": [_closed(form) for form in schema["anyOf"]]}
    if "items" in schema:
        return {**schema, "items": _closed(schema["items"])}
    if schema.get("type") != "object":
        return schema
    properties, required = schema.get("properties", {}), schema.get("required", ())
    if not 0 < len(properties) <= KEYS_MOST:
        return {"type": "object"}
    return {
        "type": "object",
        "properties": {key: _closed(value) for key, value in properties.items()},
        "required": [key for key in properties if key in required],
        "additionalProperties": False,
    }
