"""Conversations as people have them: each field of a row and of a turn is used, harmless, or counted by its name."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.data.types import Message
from tests.unit.agents.data.reading import read_rows, read_table, read_text

SYSTEM: Message = {"role": "system", "content": "Be brief."}
HELLO: Message = {"role": "user", "content": "Hello?"}
GOOD_DAY: Message = {"role": "assistant", "content": "Good day."}
OPENAI: list[dict[str, Any]] = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Good day."}]
SHAREGPT = [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Good day."}]
ROWS: list[dict[str, Any]] = [
    {"messages": OPENAI},
    {"conversations": SHAREGPT},
    {"prompt": "Hello?", "completion": "Good day."},
    {"prompt": OPENAI[:1], "completion": OPENAI[1:]},
    {"instruction": "Hello?", "input": "", "output": "Good day."},
    {"question": "Hello?", "answer": "Good day."},
    {"user": "Hello?", "assistant": "Good day."},
    {"messages": json.dumps(OPENAI)},
    {"messages": str(OPENAI)},
    {"messages": {"messages": OPENAI}},
]
CALL = {"name": "lamp", "arguments": {"on": True}}
LAMP = {"type": "function", "function": {"name": "lamp", "parameters": {"type": "object"}}}
EARLIER: list[Message] = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", ["system", "system_prompt", "System"])
def test_a_system_text_beside_any_shape_is_its_first_turn(row: dict[str, Any], name: str, tmp_path: Path) -> None:
    reader, [read] = read_rows(tmp_path, [{**row, name: "Be brief."}])
    assert read.messages == [SYSTEM, HELLO, GOOD_DAY]
    assert (read.text, read.label, dict(reader.notes.unused_fields)) == ("Hello?", "Good day.", {})


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(
    "history",
    [
        [["Who?", "Me."]],
        json.dumps([["Who?", "Me."]]),
        [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Me."}],
    ],
)
def test_a_history_beside_any_shape_is_its_earlier_turns(row: dict[str, Any], history: Any, tmp_path: Path) -> None:
    _, [read] = read_rows(tmp_path, [{**row, "history": history, "system": "Be brief."}])
    assert read.messages == [SYSTEM, *EARLIER, HELLO, GOOD_DAY]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(
    "tools",
    [
        [LAMP],
        [LAMP["function"]],
        json.dumps([LAMP]),
        [json.dumps(LAMP)],
        str([LAMP]),
        LAMP,
        [{"name": "lamp", "input_schema": {"type": "object"}}],
        [{"type": "function", **LAMP["function"]}],  # type: ignore[dict-item]
    ],
)
def test_tools_beside_any_shape_come_in_one_form(row: dict[str, Any], tools: Any, tmp_path: Path) -> None:
    reader, [read] = read_rows(tmp_path, [{**row, "tools": tools}])
    assert (read.tools, dict(reader.notes.unused_fields)) == ([LAMP], {})


@pytest.mark.parametrize("tools", ["lamp and door", [7], {"lamp": 1}])
def test_tools_that_can_not_be_read_are_counted(tools: Any, tmp_path: Path) -> None:
    reader, [read] = read_rows(tmp_path, [{"messages": OPENAI, "tools": tools}])
    assert (read.tools, dict(reader.notes.unused_fields)) == (None, {"tools": 1})


CALLS: dict[str, dict[str, Any]] = {
    "openai": {
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "lamp", "arguments": '{"on":true}'}}]
    },
    "values": {"content": None, "tool_calls": [{"function": {"name": "lamp", "arguments": {"on": True}}}]},
    "empty list": {"content": [], "tool_calls": [{"name": "lamp", "arguments": {"on": True}}]},
    "text of JSON": {"content": "", "tool_calls": '[{"name": "lamp", "arguments": {"on": true}}]'},
    "older": {"content": None, "function_call": {"name": "lamp", "arguments": '{"on": true}'}},
    "anthropic": {"content": [{"type": "tool_use", "id": "c", "name": "lamp", "input": {"on": True}}]},
    "parameters": {"content": "", "tool_calls": [{"name": "lamp", "parameters": {"on": True}}]},
    "flat": {"content": "", "tool_calls": [{"function": "lamp", "arguments": {"on": True}}]},
}


@pytest.mark.parametrize("form", CALLS)
@pytest.mark.parametrize("said", ["", "Let me see."])
def test_a_call_of_any_form_is_kept_beside_what_is_said(form: str, said: str, tmp_path: Path) -> None:
    turn: dict[str, Any] = {"role": "assistant", **CALLS[form]}
    if said:
        parts = turn["content"] if form == "anthropic" else None
        turn["content"] = [{"type": "text", "text": said}, *parts] if parts else said
    reader, [one, more] = read_rows(
        tmp_path,
        [
            {"messages": [OPENAI[0], turn]},
            {"messages": [OPENAI[0], turn, {"role": "tool", "tool_call_id": "c", "content": "on"}, OPENAI[1]]},
        ],
    )
    assert one.messages == [HELLO, {"role": "assistant", "content": said, "tool_calls": [CALL]}]
    assert (one.label.startswith(said), json.dumps(CALL) in one.label) == (True, True)
    assert more.messages is not None
    assert more.messages[1] == one.messages[1]
    assert json.dumps(CALL) in more.text
    assert dict(reader.notes.unused_fields) == {}
    if form in ("openai", "anthropic"):
        assert more.messages[2] == {"role": "tool", "content": "on", "name": "lamp"}


@pytest.mark.parametrize("role", ["function_call", "tool_call", "tool-call"])
@pytest.mark.parametrize("answers", ["observation", "function", "tool-response"])
def test_roles_of_calls_and_of_what_comes_back_are_known(role: str, answers: str, tmp_path: Path) -> None:
    turns = [SHAREGPT[0], {"from": role, "value": json.dumps(CALL)}, {"from": answers, "value": "on"}, SHAREGPT[1]]
    _, [row] = read_rows(tmp_path, [{"conversations": turns}])
    called: Message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert row.messages == [HELLO, called, {"role": "tool", "content": "on"}, GOOD_DAY]


def test_results_of_tools_in_a_question_are_turns_of_tools(tmp_path: Path) -> None:
    result = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "on"}]}
    turns = [OPENAI[0], {"role": "assistant", **CALLS["anthropic"]}, {"role": "user", "content": [result]}, OPENAI[1]]
    _, [row] = read_rows(tmp_path, [{"messages": turns}])
    assert [message["role"] for message in row.messages or []] == ["user", "assistant", "tool", "assistant"]
    assert (row.messages or [])[2] == {"role": "tool", "content": "on", "name": "lamp"}


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"content": None, "refusal": "I can't."}, {"content": "I can't."}),
        ({"content": [{"type": "refusal", "refusal": "I can't."}]}, {"content": "I can't."}),
        ({"content": "4", "reasoning_content": "2 and 2"}, {"content": "4", "reasoning": "2 and 2"}),
        ({"content": "4", "reasoning": "2 and 2"}, {"content": "4", "reasoning": "2 and 2"}),
        ({"content": "4", "thinking": "2 and 2"}, {"content": "4", "reasoning": "2 and 2"}),
        (
            {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}]},
            {"content": "4", "reasoning": "hm"},
        ),
        ({"content": {"a": None, "b": True}}, {"content": '{"a": null, "b": true}'}),
        ({"content": 3.5}, {"content": "3.5"}),
        ({"text": "4"}, {"content": "4"}),
    ],
)
def test_what_an_answer_says_is_kept(turn: dict[str, Any], expected: dict[str, Any], tmp_path: Path) -> None:
    reader, [row] = read_rows(tmp_path, [{"messages": [OPENAI[0], {"role": "assistant", **turn}]}])
    assert row.messages == [HELLO, {"role": "assistant", **expected}]
    assert dict(reader.notes.unused_fields) == {}


@pytest.mark.parametrize(
    "flag",
    [
        {"weight": 0},
        {"weight": 0.0},
        {"train": False},
        {"training": "false"},
        {"loss": False},
        {"mask": True},
        {"loss_mask": 0},
    ],
)
def test_an_answer_that_is_marked_so_carries_no_loss(flag: dict[str, Any], tmp_path: Path) -> None:
    wrong = {"role": "assistant", "content": "WRONG", **flag}
    reader, [row] = read_rows(tmp_path, [{"messages": [OPENAI[0], wrong, *OPENAI]}, {"messages": [OPENAI[0], wrong]}])
    assert row.messages == [HELLO, {"role": "assistant", "content": "WRONG", "learned": False}, HELLO, GOOD_DAY]
    assert dict(reader.notes.unlearned) == {"marked_unlearned": 1}
    assert dict(reader.dropped) == {"no_learned_answer": 1}
    assert dict(reader.notes.unused_fields) == {}


def test_a_mark_beside_prompt_and_answer_counts_too_and_a_weight_that_is_none_is_named(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Hello?", "completion": "Bad.", "weight": 0},
        {"prompt": "Hello?", "completion": "x", "weight": 0.5},
    ]
    reader, read = read_rows(tmp_path, rows)
    assert [row.label for row in read] == ["x"]
    assert dict(reader.dropped) == {"no_learned_answer": 1}
    assert dict(reader.notes.unused_fields) == {"messages.weight": 1}


@pytest.mark.parametrize(
    ("turns", "learned", "unlearned"),
    [
        (
            [("user", ""), ("assistant", "To nothing."), ("user", "a"), ("assistant", "b")],
            ["b"],
            {"answer_without_question": 1},
        ),
        ([("assistant", "Before."), ("user", "a"), ("assistant", "b")], ["b"], {"answer_without_question": 1}),
        ([("user", "a"), ("assistant", ""), ("user", "b"), ("assistant", "c")], ["c"], {"empty_answer": 1}),
        ([("user", "a"), ("assistant", "\u200b "), ("user", "b"), ("assistant", "c")], ["c"], {"empty_answer": 1}),
        ([("user", "a"), ("assistant", "b"), ("user", "c")], ["b"], {"after_last_answer": 1}),
        ([("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "")], ["b"], {"after_last_answer": 2}),
        ([("user", "a"), ("assistant", "b"), ("assistant", "c")], ["b", "c"], {}),
        ([("user", "a"), ("user", ""), ("assistant", "b")], ["b"], {}),
        (
            [("user", "a"), ("assistant", "b"), ("user", " "), ("assistant", "c"), ("user", "d"), ("assistant", "e")],
            ["b", "e"],
            {"answer_without_question": 1},
        ),
    ],
)
def test_answers_to_nothing_and_empty_ones_are_counted_and_never_learned(
    turns: list[tuple[str, str]], learned: list[str], unlearned: dict[str, int], tmp_path: Path
) -> None:
    reader, [row] = read_rows(tmp_path, [{"messages": [{"role": role, "content": text} for role, text in turns]}])
    answers = [message for message in row.messages or [] if message["role"] == "assistant"]
    assert [message["content"] for message in answers if message.get("learned", True)] == learned
    assert dict(reader.notes.unlearned) == unlearned
    assert row.label == learned[-1]


def test_systems_turns_at_the_start_are_one(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}, *OPENAI]
    _, rows = read_rows(tmp_path, [{"messages": turns}, {"system": "Be brief.", "messages": [turns[0], *OPENAI]}])
    assert [row.messages[0]["content"] for row in rows if row.messages] == ["Be brief.\n\nBe kind.", "Be brief."]


MEDIA: list[dict[str, Any]] = [
    {"images": ["lamp.png"], "messages": [{"role": "user", "content": "<image>What?"}, OPENAI[1]]},
    {"image": "lamp.png", "messages": OPENAI},
    {"audio": {"bytes": "x"}, "messages": OPENAI},
    {"messages": [{"role": "user", "content": "<image>\nWhat?"}, OPENAI[1]]},
    {"messages": [{"role": "user", "content": "What?", "images": ["a.png"]}, OPENAI[1]]},
    {"prompt": "What?", "completion": "A lamp.", "image_url": "https://example.org/lamp.png"},
    {"messages": [{"role": "user", "content": "What?\n<video>"}, OPENAI[1]]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, OPENAI[1]]},
    {
        "messages": [
            {"role": "user", "content": [{"type": "input_audio"}, {"type": "text", "text": "What?"}]},
            OPENAI[1],
        ]
    },
]


@pytest.mark.parametrize("row", MEDIA)
def test_rows_with_pictures_or_sound_are_left_out_by_their_reason(row: dict[str, Any], tmp_path: Path) -> None:
    reader, rows = read_rows(tmp_path, [row, {"messages": OPENAI, "images": [], "image": None}])
    assert [row.number for row in rows] == [2]
    assert dict(reader.dropped) == {"content_is_no_text": 1}


def test_talk_of_markup_is_text(tmp_path: Path) -> None:
    said = ["How does <video> differ from <audio>?", "<image>a</image> is what?", "Is <image> an element?"]
    reader, rows = read_rows(tmp_path, [{"prompt": text, "completion": f"So {text}"} for text in said])
    assert ([row.text for row in rows], dict(reader.dropped)) == (said, {})


@pytest.mark.parametrize("row", ROWS)
def test_what_is_not_used_is_counted_by_name_and_what_is_harmless_is_not(row: dict[str, Any], tmp_path: Path) -> None:
    harmless = {
        "id": 7,
        "source": "x",
        "createdAt": 1,
        "tweet_id": "4",
        "Timestamp": "now",
        "url": "u",
        "meta": {"a": 1},
    }
    lost = {"category": "x", "score": 0, "refined": False, "Ünused": [1], "empty": "", "none": None, "list": []}
    reader, [read] = read_rows(tmp_path, [{**row, **harmless, **lost}])
    assert reader.notes.unused_fields.keys() == {"category", "score", "refined", "Ünused"}
    assert (read.messages or [])[-2:] == [HELLO, GOOD_DAY]
    assert {**harmless, **lost}.items() <= dict(read.extra).items()


def test_fields_of_turns_that_are_not_used_are_counted(tmp_path: Path) -> None:
    asked = {**OPENAI[0], "name": "jo", "emotion": "calm", "id": 1, "reasoning": "?", "weight": 1}
    said = {**OPENAI[1], "refusal": "No.", "train_detail": [1], "timestamp": 2, "annotations": [], "value": "Other."}
    reader, _ = read_rows(tmp_path, [{"messages": [asked, said]}, {"messages": [asked, said]}])
    names = ("name", "emotion", "reasoning", "weight", "refusal", "train_detail", "value")
    assert reader.notes.unused_fields == {f"messages.{name}": 2 for name in names}


@given(names=st.sets(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8), max_size=4))
@settings(max_examples=25)
def test_no_field_is_lost_in_silence_whatever_its_name(
    names: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    names -= {"messages"}
    reader, [row] = read_rows(folder, [{"messages": OPENAI, **dict.fromkeys(names, "something")}])
    columns = {name.removeprefix("source_") for name in row.extra}
    assert names <= columns | set(reader.columns.parts.values() if reader.columns else ())
    again, _ = read_rows(folder, [{"messages": [{**OPENAI[0], **dict.fromkeys(names, "x")}, OPENAI[1]]}])
    assert len(again.notes.unused_fields) <= len(names)


def test_a_part_that_comes_late_is_used_and_an_unknown_one_named(tmp_path: Path) -> None:
    plain = [{"instruction": f"Say {number}.", "output": f"{number}"} for number in range(250)]
    late = {
        "instruction": "Sum up.",
        "input": "A long text.",
        "system": "Be brief.",
        "mood": "calm",
        "output": "Short.",
    }
    reader, rows = read_rows(tmp_path, [*plain, late])
    assert rows[-1].messages == [
        SYSTEM,
        {"role": "user", "content": "Sum up.\n\nA long text."},
        {"role": "assistant", "content": "Short."},
    ]
    assert reader.columns is not None
    assert reader.columns.names == ["instruction", "output", "input", "system", "mood"]
    assert dict(reader.notes.unused_fields) == {"mood": 1}
    reader, rows = read_rows(tmp_path, [*plain, {**plain[0], "kto_tag": False}])
    assert (len(rows), dict(reader.dropped)) == (250, {"undesirable": 1})
    reader, rows = read_rows(
        tmp_path,
        [*({"text": f"t{n}", "label": "ab"[n % 2]} for n in range(250)), {"text": "t", "label": "a", "mood": "x"}],
    )
    assert dict(reader.notes.unused_fields) == {"mood": 1}


def test_nulls_that_arrow_wrote_are_not_part_of_calls_and_tools(tmp_path: Path) -> None:
    def row(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        call = {"type": "function", "function": {"name": name, "arguments": arguments}}
        tool = {
            "type": "function",
            "function": {"name": name, "parameters": {key: {"type": "string"} for key in arguments}},
        }
        turns = [OPENAI[0], {"role": "assistant", "content": None, "tool_calls": [call]}]
        return {"messages": turns, "tools": [tool]}

    rows = [row("weather", {"city": "Oslo", "at": {"day": 1}}), row("book", {"hotel": "Ritz", "at": {"night": 2}})]
    reader, read = read_table(tmp_path, pyarrow.Table.from_pylist(rows))
    assert [found.messages for found in read] == [found.messages for found in read_rows(tmp_path, rows)[1]]
    assert read[1].tools == rows[1]["tools"]
    assert dict(reader.notes.unused_fields) == {}


def test_nulls_that_were_written_are_part_of_calls(tmp_path: Path) -> None:
    call = {"name": "lamp", "arguments": {"on": None}}
    _, [row] = read_rows(
        tmp_path, [{"messages": [OPENAI[0], {"role": "assistant", "content": "", "tool_calls": [call]}]}]
    )
    assert (row.messages or [])[-1]["tool_calls"] == [call]


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ({"a": None, "b": [True, 1.5, "x'"]}, '{"a": null, "b": [true, 1.5, "x\'"]}'),
        (["a"], '["a"]'),
        (True, "true"),
        (4.0, "4"),
        ([{"type": "person", "name": "Bo"}], '[{"type": "person", "name": "Bo"}]'),
    ],
)
@pytest.mark.parametrize("names", [("prompt", "completion"), ("instruction", "output"), ("question", "answer")])
def test_an_answer_that_is_not_text_is_json(answer: Any, written: str, names: tuple[str, str], tmp_path: Path) -> None:
    _, [row] = read_rows(tmp_path, [{names[0]: "Which?", names[1]: answer}])
    assert (row.label, row.text) == (written, "Which?")


def test_labels_that_are_objects_are_answers_of_json(tmp_path: Path) -> None:
    rows = [{"text": f"order {n} lamps", "label": {"intent": "order", "count": n, "note": None}} for n in range(3)]
    reader, read = read_rows(tmp_path, rows)
    assert reader.columns is not None
    assert reader.columns.shape == "prompt_completion"
    assert [json.loads(row.label) for row in read] == [row["label"] for row in rows]


@pytest.mark.parametrize("named", [{}, {"text_column": "text", "label_column": "label"}])
def test_labels_that_are_long_texts_are_answers_unless_labels_are_asked_for(
    named: dict[str, str], tmp_path: Path
) -> None:
    rows = [{"text": f"What of {n}?", "label": f"Of number {n} there is a great deal to be told."} for n in range(9)]
    reader, [first, *_] = read_rows(tmp_path, rows, **named)
    assert reader.columns is not None
    assert (reader.columns.shape, first.label) == ("prompt_completion", rows[0]["label"])
    reader, _ = read_rows(tmp_path, rows, shape="text_label", **named)
    assert reader.columns is not None
    assert reader.columns.shape == "text_label"


def test_question_and_answer_are_a_conversation_unless_answers_come_back(tmp_path: Path) -> None:
    asked = "question,answer\n" + "".join(f"What is {n}?,It is {n}.\n" for n in range(9))
    reader, rows = read_text(tmp_path, asked, "rows.csv")
    assert reader.columns is not None
    assert (reader.columns.shape, rows[0].label) == ("prompt_completion", "It is 0.")
    yes = "question,answer\n" + "".join(f"Is {n} even?,{'no' if n % 2 else 'yes'}\n" for n in range(9))
    reader, rows = read_text(tmp_path, yes, "rows.csv")
    assert reader.columns is not None
    assert reader.columns.shape == "text_label"
