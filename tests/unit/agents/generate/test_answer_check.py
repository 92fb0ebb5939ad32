"""Answers held against schemas from outside: as the schema says, or refused, but always at an end."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.budgets import SCHEMA
from agents.generate.answer_check import check_schema, schema_fault


@pytest.mark.parametrize(
    ("schema", "answer", "fault"),
    [
        ({"pattern": "^(a+)+$"}, json.dumps("a" * 50_000 + "b"), "answer_not_of_schema"),
        ({"patternProperties": {"^(a+)+$": False}}, json.dumps({"a" * 50_000 + "b": 1}), None),
        (
            {"patternProperties": {"^(a|a)*$": {}}, "additionalProperties": False},
            json.dumps({"a" * 50_000 + "b": 1}),
            "answer_not_of_schema",
        ),
        ({"propertyNames": {"pattern": "^(a+)+$"}}, json.dumps({"a" * 50_000 + "b": 1}), "answer_not_of_schema"),
        ({"type": "string"}, json.dumps("x" * SCHEMA.answer_characters), "answer_too_long"),
        ({}, "[" * 50_000, "answer_too_deep"),
        ({}, "NaN", "answer_no_json"),
        ({"multipleOf": 0.5}, "1e999", "answer_no_json"),
        ({}, "1" * 5_000, "answer_no_json"),
        ({"uniqueItems": True}, json.dumps([[], 1, {}] * 5_000), "answer_not_of_schema"),
        ({"uniqueItems": True}, "[1, 1.0]", "answer_not_of_schema"),
        ({"uniqueItems": True}, "[1, true, [1], [true], {}]", None),
        ({"pattern": "é"}, '"\\ud800é"', None),
    ],
)
def test_each_answer_comes_to_a_verdict(schema: dict[str, Any], answer: str, fault: str | None) -> None:
    check_schema(schema)

    assert schema_fault(answer, schema) == fault


def branching() -> dict[str, Any]:
    """Return a schema by which each level of an answer is looked at twice as often as the one above."""
    below = {"properties": {"a": {"$ref": "#/$defs/node"}}}
    return {"$ref": "#/$defs/node", "$defs": {"node": {"allOf": [below, below]}}}


def test_work_that_doubles_with_each_level_ends() -> None:
    answer = '{"a":' * 60 + "1" + "}" * 60

    assert schema_fault(answer, branching()) == "answer_too_complex"
    assert schema_fault('{"a":{"a":1}}', branching()) is None


def test_a_schema_and_an_answer_without_end_meet() -> None:
    schema = {"$ref": "#/$defs/node", "$defs": {"node": {"items": {"$ref": "#/$defs/node"}}}}

    assert schema_fault("[" * 900 + "]" * 900, schema) == "answer_too_deep"
    assert schema_fault("[[[]]]", schema) is None


KEYWORDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "array", "string", "number", "null"]),
        "minLength": st.integers(0, 3),
        "maximum": st.integers(-3, 3),
        "pattern": st.sampled_from(["^a", "b$", "[0-9]"]),
        "uniqueItems": st.booleans(),
        "enum": st.lists(st.integers(-2, 2), min_size=1, max_size=3),
        "required": st.lists(st.sampled_from("abc"), unique=True, max_size=2),
        "additionalProperties": st.booleans(),
    },
)
SCHEMAS = st.recursive(
    KEYWORDS,
    lambda inside: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inside, max_size=3),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "c"]), inside, max_size=2),
            "items": inside,
            "anyOf": st.lists(inside, min_size=1, max_size=2),
            "not": inside,
            "additionalProperties": inside,
        },
    ),
    max_leaves=6,
)
ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers(-4, 4) | st.sampled_from(["", "a", "ab", "3"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inside, max_size=3),
    max_leaves=8,
)


@given(SCHEMAS, ANSWERS)
def test_verdicts_are_those_of_jsonschema(schema: dict[str, Any], answer: object) -> None:
    check_schema(schema)
    expected = jsonschema.Draft202012Validator(schema).is_valid(answer)

    assert (schema_fault(json.dumps(answer), schema) is None) == expected
