"""What of a service's document breaks those who were written for an earlier one.

Adding is harmless: operations, optional parameters and fields, values of an enumeration in answers. Taking away is
not, nor is asking for more than before, nor answering with another type.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Schema = Mapping[str, Any]
Direction = Literal["request", "answer"]
#: Bounds by whether a larger one asks for less.
BOUNDS = {
    **dict.fromkeys(("maxLength", "maximum", "exclusiveMaximum", "maxItems"), True),
    **dict.fromkeys(("minLength", "minimum", "exclusiveMinimum", "minItems"), False),
}


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """Return every change from one document to another that breaks a client, each with its place."""
    return list(_Comparison(old, new).operations())


@dataclass
class _Comparison:
    old: Schema
    new: Schema
    seen: set[tuple[str, str, Direction]] = field(default_factory=set)

    def operations(self) -> Iterator[str]:
        for path, methods in self.old["paths"].items():
            for method, before in methods.items():
                place, after = f"{method.upper()} {path}", self.new["paths"].get(path, {}).get(method)
                if after is None:
                    yield f"{place}: it is gone"
                    continue
                if before["operationId"] != after["operationId"]:
                    yield f"{place}: its id was {before['operationId']} and is {after['operationId']}"
                yield from self._parameters(place, before, after)
                yield from self._bodies(place, before.get("requestBody"), after.get("requestBody"))
                yield from self._answers(place, before["responses"], after["responses"])

    def _parameters(self, place: str, before: Schema, after: Schema) -> Iterator[str]:
        known = {(one["in"], one["name"]): one for one in before.get("parameters", ())}
        present = {(one["in"], one["name"]): one for one in after.get("parameters", ())}
        for key, one in present.items():
            if one.get("required") and not known.get(key, {}).get("required"):
                yield f"{place}: the parameter {key[1]} has become required"
        for key, one in known.items():
            if key not in present:
                yield f"{place}: the parameter {key[1]} is gone"
            else:
                yield from self._schemas(f"{place} {key[1]}", one["schema"], present[key]["schema"], "request")

    def _bodies(self, place: str, before: Schema | None, after: Schema | None) -> Iterator[str]:
        if after is not None and after.get("required") and not (before or {}).get("required"):
            yield f"{place}: a body has become required"
        if before is not None:
            yield from self._contents(f"{place} body", before["content"], (after or {}).get("content", {}), "request")

    def _answers(self, place: str, before: Schema, after: Schema) -> Iterator[str]:
        for status, answer in before.items():
            if status not in after:
                # An error that can't happen any more breaks nobody.
                if status < "400":
                    yield f"{place}: the status {status} is gone"
                continue
            found = after[status].get("content", {})
            yield from self._contents(f"{place} {status}", answer.get("content", {}), found, "answer")

    def _contents(self, place: str, before: Schema, after: Schema, way: Direction) -> Iterator[str]:
        for kind, content in before.items():
            if kind not in after:
                yield f"{place}: {kind} is gone"
            elif "itemSchema" in content:
                yield from self._events(place, content["itemSchema"], after[kind]["itemSchema"])
            else:
                yield from self._schemas(place, content["schema"], after[kind]["schema"], way)

    def _events(self, place: str, before: Schema, after: Schema) -> Iterator[str]:
        known, present = _events_by_name(before), _events_by_name(after)
        for name, data in known.items():
            if name not in present:
                yield f"{place}: the event {name} is gone"
            else:
                yield from self._schemas(f"{place} {name}", data, present[name], "answer")

    def _schemas(self, place: str, before: Schema, after: Schema, way: Direction) -> Iterator[str]:
        key = (json.dumps(before, sort_keys=True), json.dumps(after, sort_keys=True), way)
        if key in self.seen:
            return
        self.seen.add(key)
        were, are = _kinds(self.old, before), _kinds(self.new, after)
        lost, gained = set(were) - set(are), set(are) - set(were)
        # What was taken must be taken still; what comes must be what came before.
        if odd := (lost if way == "request" else gained):
            yield f"{place}: {'no longer takes' if way == 'request' else 'can now be'} {', '.join(sorted(odd))}"
        for kind in set(were) & set(are):
            yield from self._same_kind(place, were[kind], are[kind], way)

    def _same_kind(self, place: str, before: Schema, after: Schema, way: Direction) -> Iterator[str]:
        gone = [value for value in before.get("enum", ()) if value not in after.get("enum", before.get("enum", ()))]
        if gone or (way == "request" and "enum" in after and "enum" not in before):
            yield f"{place}: no longer has the values {gone or 'beside ' + str(after['enum'])}"
        if way == "request":
            yield from (f"{place}: {bound} asks for more" for bound in BOUNDS if _is_narrower(bound, before, after))
        fields, present = before.get("properties", {}), after.get("properties", {})
        for name, one in fields.items():
            if name in present:
                yield from self._schemas(f"{place} {name}", one, present[name], way)
            elif present or way == "answer":
                yield f"{place}: the field {name} is gone"
        must, may = set(before.get("required", ())), set(after.get("required", ()))
        if way == "request":
            yield from (f"{place}: the field {name} has become required" for name in sorted(may - must))
        else:
            yield from (f"{place}: the field {name} may be missing" for name in sorted((must - may) & set(present)))
        for key in ("items", "additionalProperties"):
            if isinstance(before.get(key), Mapping) and isinstance(after.get(key), Mapping):
                yield from self._schemas(f"{place} []", before[key], after[key], way)


def _kinds(document: Schema, schema: Schema) -> dict[str, dict[str, Any]]:
    """Return what a schema allows by JSON type; the objects (or other kinds) of a union are put together."""
    if reference := schema.get("$ref"):
        return _kinds(document, document["components"]["schemas"][reference.rpartition("/")[2]])
    found: dict[str, dict[str, Any]] = {}
    for one in schema.get("anyOf", schema.get("oneOf", ())):
        for kind, below in _kinds(document, one).items():
            found[kind] = _together(found[kind], below) if kind in found else dict(below)
    if found:
        return found
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return {str(schema.get("type", "anything")): {**schema, **({"enum": values} if values else {})}}


def _together(one: Schema, other: Schema) -> dict[str, Any]:
    found = {**other, **one, "properties": {**other.get("properties", {}), **one.get("properties", {})}}
    found["required"] = [name for name in one.get("required", ()) if name in other.get("required", ())]
    if "enum" in one and "enum" in other:
        found["enum"] = [*one["enum"], *other["enum"]]
    return found


def _is_narrower(bound: str, before: Schema, after: Schema) -> bool:
    if bound not in after:
        return False
    return bound not in before or (after[bound] < before[bound] if BOUNDS[bound] else after[bound] > before[bound])


def _events_by_name(schema: Schema) -> dict[str, Schema]:
    found = {}
    for event in schema["oneOf"]:
        data = event["properties"]["data"]
        content = data.get("contentSchema", {"type": "string"})
        name = event["properties"].get("event", {}).get("const") or data.get("const") or content.get("$ref", "")
        found[name.rpartition("/")[2]] = content
    return found
