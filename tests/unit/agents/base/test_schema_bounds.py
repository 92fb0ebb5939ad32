"""JSON schemas from outside: nothing is fetched, nothing is endless, and what is refused is told with its place."""

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.budgets import SCHEMA
from agents.base.patterns import compiled_pattern
from agents.base.schema_bounds import COMPACT, bounded_schema

PLAIN = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$id": "https://example.com/task",
    "type": "object",
    "properties": {
        "$ref": {"type": "string", "pattern": "^\\d{2}:\\d{2}$"},
        "$id": {"enum": ["http://elsewhere/", {"$ref": "http://elsewhere/"}]},
        "node": {"$ref": "#/$defs/a~1b"},
        "odd": {"$ref": "#odd"},
    },
    "$defs": {"a/b": {"properties": {"next": {"$ref": "#/$defs/a~1b"}}}, "c": {"$anchor": "odd", "type": "null"}},
    "x-guidance": COMPACT,
}


def test_a_schema_that_is_whole_in_itself_is_taken_without_its_address() -> None:
    found = bounded_schema(PLAIN)

    assert dict(found) == {key: value for key, value in PLAIN.items() if key not in ("$schema", "$id")}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    steps = {f"s{n}": {"allOf": [{"$ref": f"#/$defs/s{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/s0", "$defs": {**steps, f"s{levels}": {"type": "string"}}}


def chain(levels: int) -> dict[str, Any]:
    return {"$defs": {f"s{n}": {"$ref": f"#/$defs/s{n + 1}"} for n in range(levels)} | {f"s{levels}": {}}}


@pytest.mark.parametrize(
    ("schema", "place", "words"),
    [
        ({"$ref": "http://127.0.0.1:9/x#/nosuch"}, "#", "nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, "#", "nothing is fetched"),
        ({"$ref": "other.json#/$defs/a"}, "#", "nothing is fetched"),
        ({"$ref": "//127.0.0.1/x"}, "#", "nothing is fetched"),
        ({"items": {"$dynamicRef": "http://127.0.0.1:9/"}}, "#/items", "nothing is fetched"),
        ({"$recursiveRef": "http://127.0.0.1:9/"}, "#", "nothing is fetched"),
        ({"not": {"$ref": ["#"]}}, "#/not", "nothing is fetched"),
        ({"properties": {"a": {"$id": "http://127.0.0.1/", "$ref": "#/x"}}}, "#/properties/a", "`$id`"),
        ({"allOf": [{"$schema": "http://127.0.0.1/"}]}, "#/allOf/0", "`$schema`"),
        ({"$schema": "http://127.0.0.1/meta"}, "#", "remove `$schema`"),
        ({"hidden": {"$ref": "http://127.0.0.1/"}, "$ref": "#/hidden"}, "#", "put it into `$defs`"),
        ({"enum": [{"$ref": "http://127.0.0.1/"}], "$ref": "#/enum/0"}, "#", "put it into `$defs`"),
        ({"$ref": "#/%24defs/a", "$defs": {"b": {}}}, "#", "put it into `$defs`"),
        ({"$ref": "#nosuch"}, "#", "put it into `$defs`"),
        ({"$ref": "#"}, "#", "without end"),
        ({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}}, "#", "without end"),
        ({"$dynamicAnchor": "a", "items": {"$anchor": "a"}}, "#/items", "there twice"),
        (doubling(40), "#", "refer less often"),
        (chain(SCHEMA.chain + 1), "#/$defs/s0", "refer less often"),
        (nested(SCHEMA.depth + 1), "", "make it flatter"),
        ({"enum": ["x" * (SCHEMA.characters + 1)]}, "", "leave parts out"),
        ({"enum": list(range(SCHEMA.values + 1))}, "", "leave parts out"),
        ({"x" * (SCHEMA.characters + 1): 1}, "", "leave parts out"),
        ({"maxItems": 10**9}, "#", "`maxItems` is at most"),
        ({"properties": {"a": {"minLength": 10**30}}}, "#/properties/a", "`minLength` is at most"),
        ({"multipleOf": 99400891}, "#", "`multipleOf`"),
        ({"multipleOf": 1e300}, "#", "`multipleOf`"),
        ({"allOf": [{"multipleOf": 9973}, {"multipleOf": 9967}]}, "#", "`multipleOf`"),
        ({"items": {"multipleOf": 0.000001}, "not": {"multipleOf": 7}}, "#", "`multipleOf`"),
        ({"pattern": "(?=a)b"}, "#", "'(?=a)b'"),
        ({"patternProperties": {"(a)\\1": {}}}, "#", "'(a)\\1'"),
        ({"pattern": "((a{1000}){1000}){1000}"}, "#", "repeats at most"),
        ({"pattern": "a" * (SCHEMA.pattern_characters + 1)}, "#", "shorten it"),
        (
            {"patternProperties": {"a": {}}, "items": {"unevaluatedProperties": False}},
            "#/items",
            "additionalProperties",
        ),
        ({"x-guidance": {"whitespace_pattern": "(a+)+"}}, "#", "`x-guidance`"),
    ],
)
def test_what_leads_outside_or_never_ends_is_refused_with_its_place(
    schema: dict[str, Any], place: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection"))

    with pytest.raises(ValueError, match=r"(?s).") as caught:
        bounded_schema(schema)

    assert str(caught.value).startswith(f"{place}: " if place else "a schema")
    assert words in str(caught.value)


def test_what_was_told_to_be_done_helps() -> None:
    moved = {"$ref": "#/$defs/hidden", "$defs": {"hidden": {"type": "string"}}}

    assert bounded_schema(moved) == moved
    for multiple in (1, 60, 0.01, 1000, 1e6, 0.25):
        assert bounded_schema({"multipleOf": multiple}) == {"multipleOf": multiple}
    assert bounded_schema({"pattern": "b"}) == {"pattern": "b"}
    assert bounded_schema(nested(SCHEMA.depth)) == nested(SCHEMA.depth)
    assert bounded_schema(doubling(5)) == doubling(5)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(
            st.sampled_from(["$ref", "$defs", "$id", "$anchor", "allOf", "items", "properties", "pattern", "a"]),
            inside,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["$ref", "$defs", "allOf", "not", "if", "pattern", "$schema", "type"]), JSON))
def test_any_json_is_taken_or_refused_with_a_sentence(schema: dict[str, Any]) -> None:
    said = "it is one, and is taken"
    try:
        bounded_schema(schema)
    except ValueError as fault:
        said = str(fault)

    assert len(said) > 10


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^(a+)+$", "a" * 50_000 + "b", False),
        ("(a|a)*c", "a" * 50_000, False),
        ("(.*)*x(.*)*y", "x" * 50_000, False),
        ("^\\u00e4+$", "ä", True),
        ("^a\\/b$", "a/b", True),
        ("^\\\\u0041$", "\\u0041", True),
    ],
)
def test_patterns_are_run_in_linear_time(pattern: str, text: str, found: bool) -> None:
    assert (compiled_pattern(pattern).search(text) is not None) == found
