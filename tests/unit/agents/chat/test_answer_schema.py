"""The schema of a task's answers: what all of them have in common, and nothing that only some say."""

import json

import pytest

from agents.answer_schema import COMPACT, answer_schema


def test_keys_keep_their_order_and_types_are_those_seen() -> None:
    answers = ['{"who": "Ann", "age": 7, "tags": ["a"]}', '{"who": null, "age": 7.5, "tags": []}']

    found = answer_schema(answers)

    assert found is not None
    assert list(found["properties"]) == found["required"] == ["who", "age", "tags"]
    assert found["properties"] == {
        "who": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "age": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
    }
    assert found["additionalProperties"] is False


def test_a_key_that_is_not_always_there_is_not_required_inside_objects_too() -> None:
    found = answer_schema(['{"at": {"x": 1, "y": true}}', '{"at": {"x": 2}, "note": "n"}'])

    assert found is not None
    assert found["required"] == ["at"]
    assert found["properties"]["at"]["required"] == ["x"]
    assert set(found["properties"]) == {"at", "note"}


@pytest.mark.parametrize("answers", [[], ["plain text"], ['{"a": 1}', "no"], ["[1]"], ["3"]])
def test_answers_that_are_not_all_objects_have_none(answers: list[str]) -> None:
    assert answer_schema(answers) is None


def test_the_form_without_blanks_is_kept_where_all_have_it() -> None:
    rows = [{"a": 1, "b": "x, y: z"}, {"a": 2, "b": ""}]
    compact, spaced = ([json.dumps(row, separators=form) for row in rows] for form in ((",", ":"), (", ", ": ")))

    assert (answer_schema(compact) or {}).get("x-guidance") == COMPACT
    assert "x-guidance" not in (answer_schema(spaced) or {"x-guidance": None})


def test_objects_without_keys_or_with_too_many_are_any_object() -> None:
    many = json.dumps({f"key{number}": number for number in range(100)})

    assert answer_schema([many]) == answer_schema(["{ }"]) == {"type": "object"}
