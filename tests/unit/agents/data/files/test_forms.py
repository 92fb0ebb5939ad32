"""Forms that tools write: each becomes plain records, as documents and as lines; others are refused by name."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import InvalidData
from agents.data.files import RawRecord, open_rows
from agents.data.files.folders import row_files
from agents.data.files.forms import FORMS, known_forms
from agents.data.files.forms.base import NotForUs
from agents.data.files.nested import find_lists
from agents.data.reader import RowsReader
from agents.dataset.types import DatasetConfig
from tests.conftest import REPOSITORY
from tests.fuzz.parsers import Quiet

DATA_PAGE = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
WriteFile = Callable[..., Path]


def studio(*chosen: list[str], kind: str = "choices", **more: Any) -> dict[str, Any]:
    annotations = [
        {"id": 1, "result": [{"from_name": "mood", "to_name": "text", "type": kind, "value": {kind: labels}}]}
        for labels in chosen
    ]
    return {"id": 7, "data": {"text": "Nice"}, "annotations": annotations, "predictions": [], **more}


def said(message: str, role: str = "user", **node: Any) -> dict[str, Any]:
    content = {"author": {"role": role}, "content": {"content_type": "text", "parts": [message]}}
    return {"message": content, **node}


TREE = {
    "root": {"message": None, "parent": None, "children": ["1"]},
    "1": said("Hello?", parent="root", children=["2", "3"]),
    "2": said("Bad day.", "assistant", parent="1", children=[]),
    "3": said("Good day.", "assistant", parent="1", children=[]),
}
ASKED = {"role": "user", "content": "Hello?"}
ANSWERED = {"role": "assistant", "content": "Good day."}
CALL = {"functionCall": {"name": "clock", "args": {"zone": "UTC"}}}
RESULT = {"functionResponse": {"name": "clock", "response": {"time": "9:00"}}}
#: Form -> pairs of a record as the tool writes it and the records that it becomes.
RECORDS: dict[str, list[tuple[dict[str, Any], list[dict[str, Any]]]]] = {
    "the rows of Hugging Face's viewer": [
        ({"row_idx": 3, "row": {"text": "a"}, "truncated_cells": []}, [{"text": "a"}]),
        (
            {"rows": [{"row": {"text": "a", "label": -1}}], "features": [{"name": "label", "type": {"names": ["x"]}}]},
            [{"text": "a", "label": None}],
        ),
    ],
    "pandas' split tables": [
        ({"columns": ["text", "n"], "data": [["a", 1], ["b", 2]]}, [{"text": "a", "n": 1}, {"text": "b", "n": 2}])
    ],
    "SQuAD": [
        (
            {
                "version": "v2.0",
                "data": [
                    {
                        "title": "Rome",
                        "paragraphs": [
                            {
                                "context": "Rome is old.",
                                "qas": [
                                    {
                                        "question": "How old?",
                                        "id": "1",
                                        "answers": [{"text": "old", "answer_start": 8}],
                                    },
                                    {"question": "How tall?", "id": "2", "answers": [], "is_impossible": True},
                                ],
                            }
                        ],
                    }
                ],
            },
            [
                {"instruction": "How old?", "input": "Rome is old.", "output": "old", "id": "1", "source": "Rome"},
                {"instruction": "How tall?", "input": "Rome is old.", "output": None, "id": "2", "source": "Rome"},
            ],
        ),
        (
            {
                "id": "1",
                "context": "Rome is old.",
                "question": "How?",
                "answers": {"text": ["old"], "answer_start": [8]},
            },
            [{"instruction": "How?", "input": "Rome is old.", "output": "old", "id": "1"}],
        ),
    ],
    "Rasa": [
        (
            {
                "rasa_nlu_data": {
                    "common_examples": [{"text": "hi", "intent": "greet", "entities": []}],
                    "regex_features": [],
                }
            },
            [{"text": "hi", "label": "greet"}],
        ),
        (
            {
                "version": "3.1",
                "nlu": [
                    {"intent": "go", "examples": '- to [Rome](city)\n- to [Oslo]{"entity": "city"}\n'},
                    {"synonym": "x", "examples": "- y\n"},
                    {"intent": "hi", "examples": [{"text": "- hey\n"}]},
                ],
            },
            [{"text": "to Rome", "label": "go"}, {"text": "to Oslo", "label": "go"}, {"text": "hey", "label": "hi"}],
        ),
    ],
    "intents with patterns": [
        (
            {
                "intents": [
                    {"tag": "hi", "patterns": ["Hi", "Hey"], "responses": ["Hello"]},
                    {"tag": "x", "patterns": []},
                ]
            },
            [{"text": "Hi", "label": "hi"}, {"text": "Hey", "label": "hi"}],
        ),
    ],
    "Label Studio": [
        (studio(["good"]), [{"text": "Nice", "label": "good"}]),
        (studio(["good", "new"]), [{"text": "Nice", "label": ["good", "new"]}]),
        (studio(["good"], ["bad"], ["good"]), [{"text": "Nice", "label": "good"}]),
        (studio(["good"], ["bad"]), [{"text": "Nice", "label": None}]),
        (studio(), [{"text": "Nice", "label": None}]),
        (
            {"text": "a", "topic": {"choices": ["x", "y"]}, "n": 1, "annotation_id": 3, "lead_time": 2.5},
            [{"text": "a", "topic": ["x", "y"], "n": 1, "annotation_id": 3}],
        ),
        (
            {
                "data": {"text": "a"},
                "completions": [
                    {"was_cancelled": True, "result": [{"from_name": "x", "type": "rating", "value": {"rating": 1}}]},
                    {"result": [{"from_name": "x", "type": "rating", "value": {"rating": 4}}]},
                ],
            },
            [{"text": "a", "label": "4"}],
        ),
    ],
    "doccano": [
        (
            {"id": 1, "text": "a", "annotations": [{"label": 2, "user": 1}], "meta": {}, "annotation_approver": None},
            [{"id": 1, "text": "a", "label": "2", "meta": {}}],
        ),
    ],
    "Prodigy": [
        (
            {"text": "a", "label": "x", "answer": "accept", "_task_hash": 1, "_input_hash": 2},
            [{"text": "a", "label": "x"}],
        ),
        ({"text": "a", "label": "x", "answer": "reject", "_task_hash": 1}, [{"text": "a", "label": None}]),
        (
            {"text": "a", "options": [{"id": "x"}], "accept": ["x", "y"], "answer": "accept", "_task_hash": 1},
            [{"text": "a", "label": ["x", "y"]}],
        ),
    ],
    "spaCy's categories": [({"text": "a", "cats": {"x": 1.0, "y": 0.0}}, [{"text": "a", "label": "x"}])],
    "Gemini": [
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "Hello?"}]},
                    {"role": "model", "parts": [{"text": "Good day."}]},
                ]
            },
            [{"messages": [ASKED, ANSWERED]}],
        ),
        (
            {
                "systemInstruction": {"parts": [{"text": "Be kind."}]},
                "contents": [
                    {"role": "user", "parts": [{"text": "Hello?"}]},
                    {"role": "model", "parts": [CALL]},
                    {"role": "user", "parts": [RESULT]},
                    {"role": "model", "parts": [{"text": "Hm", "thought": True}, {"text": "Good day."}]},
                ],
                "tools": [{"functionDeclarations": [{"name": "clock"}]}],
            },
            [
                {
                    "messages": [
                        {"role": "system", "content": "Be kind."},
                        ASKED,
                        {
                            "role": "assistant",
                            "content": "",
                            "tool_calls": [
                                {"type": "function", "function": {"name": "clock", "arguments": {"zone": "UTC"}}}
                            ],
                        },
                        {"role": "tool", "name": "clock", "content": '{"time": "9:00"}'},
                        {**ANSWERED, "reasoning_content": "Hm"},
                    ],
                    "tools": [{"type": "function", "function": {"name": "clock"}}],
                }
            ],
        ),
        (
            {"contents": [{"role": "user", "parts": [{"inlineData": {"data": "AA"}}, {"text": "What?"}]}]},
            [{"messages": [{"role": "user", "content": [{"type": "inlineData"}, {"type": "text", "text": "What?"}]}]}],
        ),
    ],
    "Vertex AI": [
        ({"input_text": "Hello?", "output_text": "Good day."}, [{"prompt": "Hello?", "completion": "Good day."}])
    ],
    "ChatGPT's export": [
        ({"title": "T", "mapping": TREE, "current_node": "3"}, [{"messages": [ASKED, ANSWERED], "source": "T"}]),
        ({"mapping": TREE}, [{"messages": [ASKED, ANSWERED]}]),
        ({"mapping": {"1": said("a", parent="2"), "2": said("b", parent="1")}, "current_node": "1"}, []),
    ],
    "Claude's export": [
        (
            {
                "uuid": "1",
                "name": "",
                "chat_messages": [{"sender": "human", "text": "Hello?"}, {"sender": "assistant", "text": "Good day."}],
            },
            [{"messages": [ASKED, ANSWERED]}],
        ),
    ],
    "columns inside an object": [
        ({"_id": "1", "_source": {"text": "a", "label": "x"}}, [{"_id": "1", "text": "a", "label": "x"}]),
        ({"label": "x", "node": {"body": "a"}, "meta": {"n": 1}}, [{"label": "x", "meta": {"n": 1}, "body": "a"}]),
    ],
}
CASES = [(name, *case) for name, cases in RECORDS.items() for case in cases]


@pytest.mark.parametrize("container", ["one.jsonl", "one.json", "list.json", "pretty.json"])
@pytest.mark.parametrize(("name", "record", "expected"), CASES)
def test_a_tools_form_becomes_plain_records(
    rows_file: WriteFile, name: str, record: dict[str, Any], expected: list[dict[str, Any]], container: str
) -> None:
    text = json.dumps(
        [record] if container == "list.json" else record, indent=1 if container == "pretty.json" else None
    )
    reading = open_rows(rows_file(text, container), None, None, set())
    assert reading.form == name
    records = [item.values for item in reading.records if isinstance(item, RawRecord)]
    if expected:
        assert records == expected


def places_in(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places_in(one, (*above, key))


def with_odd(value: Any, place: tuple[Any, ...], odd: Any) -> Any:
    """Return a copy with something odd at a place."""
    if not place:
        return odd
    found = value.copy()
    found[place[0]] = with_odd(value[place[0]], place[1:], odd)
    return found


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_odd_somewhere_in_a_form_is_read_or_refused(name: str) -> None:
    odd_values = (None, 1, -1.5, True, "x", [], {}, [None], [1, "a"], [{}], [[]], {"a": 1})
    for record, _ in RECORDS[name]:
        for place, odd in product(places_in(record), odd_values):
            found = with_odd(record, place, odd)
            with suppress(NotForUs, InvalidData):
                find_lists("x", found)
                for form in FORMS:
                    if isinstance(found, dict) and form.matches(found):
                        assert all(isinstance(row, dict) for row in form.rows(found))


def test_every_form_is_tried_and_named() -> None:
    assert set(RECORDS) == {form.name for form in FORMS}
    assert all(name in known_forms() and f"| {name} |" in DATA_PAGE for name in RECORDS)


@pytest.mark.parametrize(
    ("record", "said_of_it"),
    [
        (
            {"text": "a", "ner": [{"start": 0, "end": 3, "labels": ["PER"]}], "annotation_id": 1, "lead_time": 2},
            "Label Studio export with labels of parts of a text",
        ),
        (studio(["PER"], kind="labels"), "Label Studio export with labels of parts of a text"),
        (
            {"text": "a", "annotations": [{"label": 1, "start_offset": 0, "end_offset": 3}]},
            "doccano export with labels",
        ),
        ({"text": "a", "spans": [{"start": 0}], "answer": "accept", "_task_hash": 1}, "Prodigy's answers about parts"),
    ],
)
def test_labels_of_parts_of_a_text_are_refused_by_their_name(
    rows_file: WriteFile, record: dict[str, Any], said_of_it: str
) -> None:
    with pytest.raises(InvalidData, match=said_of_it) as raised:
        list(open_rows(rows_file(json.dumps(record), "rows.jsonl"), None, None, set()).records)
    assert "write one row a part" in raised.value.cure


def test_an_unknown_nested_form_names_the_known_ones(rows_file: WriteFile) -> None:
    path = rows_file(json.dumps({"exchange": {"asked": "a", "said": "b"}, "no": 1}) * 1, "rows.jsonl")
    reader = RowsReader(DatasetConfig(source="x"), Quiet(), row_files(path))
    with pytest.raises(InvalidData, match=r"What is in 'exchange' is of no known form.*Known forms: .*Gemini"):
        list(reader.rows())
