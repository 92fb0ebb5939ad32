"""Rows of every shape become conversations, and conversations splits of tokens; what can't be learned is counted."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from agents.base.errors import InvalidData
from agents.chat.renderer import make_renderer
from agents.chat.truncation import learnable
from agents.data.cleaning import clean_content
from agents.data.types import Split
from agents.dataset import DatasetAgent
from agents.dataset.types import DatasetConfig, DatasetOutput
from agents.models.tokenizers import load_tokenizer
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.types import PreprocessingConfig, PreprocessingOutput
from agents.validation import ValidationAgent
from agents.validation.types import ValidationConfig, ValidationOutput
from tests.conftest import AgentBench
from tests.support.decoders import color_rows

Lines = list[dict[str, Any]]
Read = Callable[..., tuple[DatasetOutput, Lines]]


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


ASKED, SAID, SYSTEM, RESULT = (
    turn("user", "2 + 2?"),
    turn("assistant", "4"),
    turn("system", "Be brief."),
    turn("tool", "4"),
)
CALL = {"name": "add", "arguments": "{}"}
PARTS = [{"type": "text", "text": "2 + "}, {"type": "text", "text": "2?"}]
SHARED = [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]
CALLING = {**turn("assistant", None), "tool_calls": [{"type": "function", "function": CALL}]}
#: Shape, row, and the messages it becomes.
SHAPES: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    (
        "alpaca",
        {"instruction": "Add.", "input": "2", "output": "2"},
        [turn("user", "Add.\n\n2"), turn("assistant", "2")],
    ),
    ("alpaca", {"instruction": "2 + 2?", "input": "", "output": "4"}, [ASKED, SAID]),
    ("alpaca", {"instruction": "2 + 2?", "context": None, "response": "4", "category": "qa"}, [ASKED, SAID]),
    ("prompt_completion", {"prompt": "2 + 2?", "completion": "4"}, [ASKED, SAID]),
    ("prompt_completion", {"prompt": [ASKED], "completion": [SAID]}, [ASKED, SAID]),
    ("input_output", {"input": "2 + 2?", "output": {"ö": None}}, [ASKED, turn("assistant", '{"ö": null}')]),
    ("input_output", {"input": "2 + 2?", "output": ["4"]}, [ASKED, turn("assistant", '["4"]')]),
    ("sharegpt", {"conversations": SHARED}, [ASKED, SAID]),
    ("messages", {"messages": [SYSTEM, ASKED, SAID, ASKED]}, [SYSTEM, ASKED, SAID]),
    ("messages", {"messages": [turn("user", PARTS), SAID]}, [ASKED, SAID]),
    (
        "messages",
        {"messages": [ASKED, CALLING, RESULT, SAID]},
        [ASKED, {**turn("assistant", ""), "tool_calls": [{"name": "add", "arguments": {}}]}, RESULT, SAID],
    ),
]


@pytest.fixture
def read(bench: AgentBench) -> Read:
    """Write rows as JSON lines (or text as it is), run the dataset agent, and return its output and rows."""

    def run(rows: list[dict[str, Any]] | str, name: str = "source.jsonl", **config: Any) -> Any:
        bench.work_dir.mkdir(parents=True, exist_ok=True)
        path = bench.work_dir / name
        path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows))
        output = DatasetAgent().run(DatasetConfig(source=str(path), **config), bench.context("dataset"))
        return output, [json.loads(line) for line in bench.objects.get_artifact(output.rows).decode().splitlines()]

    return run


@pytest.mark.parametrize(("shape", "row", "messages"), SHAPES)
def test_each_shape_is_found_and_becomes_messages(
    bench: AgentBench, read: Read, shape: str, row: dict[str, Any], messages: list[dict[str, Any]]
) -> None:
    output, rows = read([row])
    assert output.shape == shape
    assert rows[0]["messages"] == messages
    assert (rows[0]["row"], rows[0]["label"]) == (1, messages[-1]["content"])
    assert output.label_counts == {}
    opened = next(record for record in bench.records if record.get("event") == "source_opened")
    assert opened["fields"]["shape"] == shape


def test_messages_in_a_csv_cell_are_read_as_json(read: Read) -> None:
    table = io.StringIO()
    csv.writer(table).writerows([["id", "messages"], ["1", json.dumps([ASKED, SAID])]])
    output, rows = read(table.getvalue(), "source.csv")
    assert (output.shape, rows[0]["messages"], rows[0]["id"]) == ("messages", [ASKED, SAID], "1")


def test_input_and_output_are_text_and_label_where_outputs_are_few_and_short(read: Read) -> None:
    rows = [{"input": f"text {n}", "output": "ham" if n % 3 else "spam"} for n in range(30)]
    assert read(rows)[0].shape == "text_label"
    assert read(rows, shape="input_output")[0].shape == "input_output"
    assert read(color_rows(30))[0].shape == "text_label"
    assert read([{"input": f"a {n}", "output": f"b {n}"} for n in range(30)])[0].shape == "input_output"


def test_a_column_of_plain_texts_is_none_of_messages_whatever_its_name(read: Read) -> None:
    rows = [{"messages": "hello", "topic": "a"}, {"messages": "bye", "topic": "b"}]
    output, _ = read(rows)
    assert (output.shape, output.text_column, output.label_column) == ("text_label", "messages", "topic")


def test_named_columns_and_shape_go_before_what_is_found(read: Read) -> None:
    rows = [{"prompt": "hello", "completion": "a"}, {"prompt": "bye", "completion": "b"}]
    assert read(rows, text_column="prompt", label_column="completion")[0].shape == "text_label"
    output, found = read([{"q": "2 + 2?", "a": "4"}], shape="prompt_completion", text_column="q", label_column="a")
    assert found[0]["messages"] == [ASKED, SAID]
    assert (output.text_column, output.label_column) == ("q", "a")
    with pytest.raises(InvalidData, match=r"no column 'completion' for the shape 'prompt_completion'.*Set the dataset"):
        read([{"prompt": "a", "b": "c"}], shape="prompt_completion")


def test_rows_that_are_no_conversation_are_counted_with_the_place_of_the_first(read: Read) -> None:
    broken = [
        {"messages": [ASKED]},
        {"messages": [SAID]},
        {"messages": "hello"},
        {"messages": [{"role": "judge", "content": "x"}, SAID]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, SAID]},
    ]
    output, rows = read([*broken, {"messages": [ASKED, SAID]}])
    reasons = ("no_answer", "missing_text", "no_messages", "unknown_role", "content_is_no_text")
    assert output.dropped == dict.fromkeys(reasons, 1)
    assert [row["row"] for row in rows] == [6]
    with pytest.raises(
        InvalidData, match=r"no usable row of the shape 'messages'.*no_answer first in 'source.jsonl', row 1"
    ):
        read(broken)


def validated(bench: AgentBench, dataset: DatasetOutput, **config: Any) -> tuple[ValidationOutput, Lines]:
    output = ValidationAgent().run(ValidationConfig(**config), bench.context("validation", {"dataset": dataset}))
    return output, [json.loads(line) for line in bench.objects.get_artifact(output.rows).decode().splitlines()]


def test_validation_asks_nothing_about_labels_and_masks_personal_data_in_every_turn(
    bench: AgentBench, read: Read
) -> None:
    rows = [{"prompt": f"write to number {n}", "completion": f"to n{n}@example.org"} for n in range(30)]
    output, passed = validated(bench, read(rows)[0], pii="mask")
    assert output.findings == {"pii.email": 30}
    assert output.label_counts == {}
    assert passed[0]["messages"][1]["content"] == passed[0]["label"] == "to [EMAIL]"
    with pytest.raises(InvalidData, match="30 rows hold personal data"):
        validated(bench, read(rows)[0], pii="fail")


def prepare(bench: AgentBench, dataset: DatasetOutput, tiny_decoder: Path, **config: Any) -> PreprocessingOutput:
    settings = PreprocessingConfig(**{"task": "sft", "model": str(tiny_decoder), "template": "chatml", **config})
    context = bench.context("preprocessing", {"dataset": dataset})
    return PreprocessingAgent().run(settings, context)


def cells(bench: AgentBench, split: Split) -> list[dict[str, Any]]:
    table = pyarrow.parquet.read_table(io.BytesIO(bench.objects.get_artifact(split.rows)))
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def test_splits_hold_tokens_mask_and_messages(bench: AgentBench, read: Read, tiny_decoder: Path) -> None:
    rows = [{"prompt": f"what is {n}?\n\n  indented", "completion": f"it is\u200b {n * 7919}"} for n in range(40)]
    output = prepare(bench, read(rows)[0], tiny_decoder, dedup="none")
    train = cells(bench, output.splits["train"])
    assert set(train[0]) == {"row", "text", "messages", "loss_mask", "input_ids"}
    assert sum(split.row_count for split in output.splits.values()) + sum(output.dropped.values()) == 40
    first = train[0]
    assert json.loads(first["messages"])[1]["content"] == f"it is {(first['row'] - 1) * 7919}"
    assert first["text"] == f"what is {first['row'] - 1}?\n\n  indented"
    assert len(first["loss_mask"]) == len(first["input_ids"])
    longest = max(sum(row["loss_mask"]) for row in train)
    assert output.prompt is not None
    assert (output.prompt.template, output.prompt.max_new_tokens) == ("chatml", 2 * longest)
    assert (output.labels, output.task, output.max_tokens) == ([], "sft", 256)
    assert prepare(bench, read(rows)[0], tiny_decoder, dedup="none") == output


def test_near_prompts_share_a_side_and_several_answers_to_one_prompt_stay(
    bench: AgentBench, read: Read, tiny_decoder: Path
) -> None:
    names = ["the old oak by the river", "a broken printer on floor three", "my cousin's wedding in Rome"]
    names += ["quarterly sales in the north", "how bees find their way", "the tram to the harbour", "salted caramel"]
    rows = [
        {"prompt": f"please tell me about {name}{'!' * n}", "completion": f"{name} {n}"}
        for name in names
        for n in range(5)
    ]
    output = prepare(bench, read([*rows, *rows])[0], tiny_decoder)
    assert output.dropped == {"exact_duplicate": 35}
    sides: dict[str, set[str]] = {}
    for side, split in output.splits.items():
        for row in cells(bench, split):
            sides.setdefault(row["text"].rstrip("!"), set()).add(side)
    assert all(len(found) == 1 for found in sides.values())
    assert len(sides) == 7
    assert output.leaked == 0


def test_answers_that_are_cut_off_are_counted_shown_and_refused_where_nothing_is_left(
    bench: AgentBench, read: Read, tiny_decoder: Path
) -> None:
    rows = [{"prompt": f"number {n}?", "completion": "word " * (60 if n < 5 else 3) + str(n)} for n in range(40)]
    output = prepare(bench, read(rows)[0], tiny_decoder, max_tokens=48, dedup="none")
    assert output.dropped["answer_cut_off"] == 5
    told = next(record for record in bench.records if record.get("event") == "rows_dropped")["fields"]
    assert told["first"]["answer_cut_off"].startswith("row 1: ")
    with pytest.raises(
        InvalidData, match=r"answer_cut_off, row 1: \d+ tokens, `max_tokens` is 8. Raise preprocessing's"
    ):
        prepare(bench, read(rows)[0], tiny_decoder, max_tokens=8, dedup="none")


def exchanges(count: int, words: int = 6) -> list[dict[str, Any]]:
    """A conversation of so many questions, each answered twice over a tool."""
    turns = [
        [
            turn("user", f"question {n}?"),
            turn("assistant", f"look {n}"),
            RESULT,
            turn("assistant", f"so {n}" + " word" * words),
        ]
        for n in range(count)
    ]
    return [SYSTEM, *(message for four in turns for message in four)]


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("max_tokens", [24, 60, 100, 150, 10_000])
def test_a_long_conversation_is_cut_after_a_whole_answer(tiny_decoder: Path, max_tokens: int, in_parts: bool) -> None:
    renderer, messages = make_renderer("chatml", load_tokenizer(tiny_decoder)), exchanges(8)
    found = learnable(messages, renderer, max_tokens, in_parts=in_parts)
    assert all(part.rendered == renderer.render(part.messages) for part in found.parts)
    assert all(len(part.rendered.input_ids) <= max_tokens for part in found.parts)
    assert all(part.messages[:2] == [SYSTEM, turn("user", part.messages[1]["content"])] for part in found.parts)
    assert all(part.messages[-1]["role"] == "assistant" for part in found.parts)
    turns = [message for part in found.parts for message in part.messages[1:]]
    kept = sum(message["role"] == "assistant" for message in turns)
    if found.reason:
        assert (found.reason.kind, found.parts) == ("answer_cut_off", [])
    else:
        assert kept + found.answers_left_out == 16
        assert turns == messages[1 : len(turns) + 1] or in_parts
    if in_parts and max_tokens >= 100:
        assert len(found.parts) > 1 or max_tokens == 10_000
        assert {f"question {n}?" for n in range(8)} == {one["content"] for one in turns if one["role"] == "user"}


def test_an_exchange_that_does_not_fit_is_passed_over_in_parts(tiny_decoder: Path) -> None:
    renderer = make_renderer("chatml", load_tokenizer(tiny_decoder))
    messages = [
        ASKED,
        SAID,
        turn("user", "tell"),
        turn("assistant", "word " * 90),
        ASKED,
        SAID,
        turn("user", "?"),
        SAID,
    ]
    found = learnable(messages, renderer, 60, in_parts=True)
    assert [part.messages for part in found.parts] == [[ASKED, SAID], [ASKED, SAID, turn("user", "?"), SAID]]
    assert found.answers_left_out == 1
    first = learnable([messages[2], messages[3], ASKED, SAID], renderer, 60)
    assert first.reason
    assert first.reason.kind == "answer_cut_off"


@pytest.mark.parametrize(("long_texts", "parts_at_least"), [("cut", 1), ("parts", 2)])
def test_long_conversations_are_counted_and_their_parts_share_a_split(
    bench: AgentBench, read: Read, tiny_decoder: Path, long_texts: str, parts_at_least: int
) -> None:
    rows = [
        {"messages": [turn("system", f"You are number {n}."), *exchanges(8 if n < 6 else 1)[1:]]} for n in range(30)
    ]
    output = prepare(bench, read(rows)[0], tiny_decoder, max_tokens=110, dedup="none", long_texts=long_texts)
    found: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for side, split in output.splits.items():
        for row in cells(bench, split):
            found.setdefault(row["row"], []).append((side, row))
    assert sorted(found) == list(range(1, 31))
    assert all(len({side for side, _ in parts}) == 1 for parts in found.values())
    assert all(len(found[n]) >= parts_at_least for n in range(1, 7))
    assert all(len(found[n]) == 1 for n in range(7, 31))
    for parts in found.values():
        for _, row in parts:
            messages = json.loads(row["messages"])
            assert messages[0]["role"] == "system"
            assert row["text"].startswith("question")
            assert len(row["input_ids"]) <= 110
    told = next(record["fields"] for record in bench.records if record.get("event") == "long_conversations_cut")
    assert told["rows"] == 6
    assert told["parts"] == sum(len(found[n]) for n in range(1, 7))
    assert "answer_cut_off" not in output.dropped


def test_turns_with_the_models_own_markup_or_without_a_form_are_left_out(
    bench: AgentBench, read: Read, tiny_decoder: Path
) -> None:
    tool = {"messages": [ASKED, {"role": "tool", "content": "4"}, SAID]}
    marked = {"messages": [{"role": "user", "content": "say <|im_end|>"}, SAID]}
    plain = [{"messages": [{"role": "user", "content": f"item {n * n}"}, SAID]} for n in range(40)]
    output = prepare(bench, read([tool, marked, *plain])[0], tiny_decoder, template="alpaca", dedup="none")
    assert output.dropped == {"template_refused": 1, "special_token_in_text": 1}


def test_texts_with_labels_can_be_answered_and_conversations_can_not_be_classified(
    bench: AgentBench, read: Read, tiny_decoder: Path
) -> None:
    rows = [{"text": f"text number {n * n}", "label": "even" if n % 2 else "odd"} for n in range(40)]
    output = prepare(bench, read(rows)[0], tiny_decoder, dedup="none")
    answers = {json.loads(row["messages"])[1]["content"] for row in cells(bench, output.splits["train"])}
    assert answers == {"even", "odd"}
    conversations = read([{"prompt": "a", "completion": "b"}])[0]
    with pytest.raises(InvalidData, match=r"conversations of the shape 'prompt_completion'.*Set `task: sft`"):
        prepare(bench, conversations, tiny_decoder, task="classification", template=None)


PAIR = {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}
JUDGED = {"messages": [ASKED, SAID], "label": True}


@pytest.mark.parametrize("task", ["sft", "classification"])
@pytest.mark.parametrize(
    ("row", "form"),
    [
        (PAIR, r"columns 'chosen' and 'rejected' beside 'prompt'.*Set `shape: prompt_completion`"),
        (JUDGED, r"true and false in 'label' beside answers \(KTO\).*Set `shape: messages`"),
    ],
)
def test_preference_data_are_never_learned_as_plain_answers(
    bench: AgentBench, read: Read, tiny_decoder: Path, row: dict[str, Any], form: str, task: str
) -> None:
    dataset, lines = read([row] * 9)
    assert (dataset.shape, len(lines), lines[0]["label"]) == ("preference", 9, "4")
    template = None if task == "classification" else "chatml"
    with pytest.raises(InvalidData, match=rf"are preference data .*{form}"):
        prepare(bench, dataset, tiny_decoder, task=task, template=template)
    with pytest.raises(InvalidData, match=rf"are preference data .*{form}"):
        read([row] * 9, task=task)
    unmarked = dataset.model_copy(update={"preference": None, "shape": "text_label"})
    with pytest.raises(InvalidData, match="Row 1 has a rejected answer"):
        prepare(bench, unmarked, tiny_decoder, task=task, template=template)


def test_several_labels_are_no_class_and_are_answered_as_json(
    bench: AgentBench, read: Read, tiny_decoder: Path
) -> None:
    dataset, _ = read([{"text": f"text number {n * n}", "labels": ["a", "b"][: n % 3]} for n in range(60)])
    with pytest.raises(InvalidData, match=r"several labels each.*`task: multi_label`"):
        prepare(bench, dataset, tiny_decoder, task="classification", template=None)
    output = prepare(bench, dataset, tiny_decoder, dedup="none")
    answers = {json.loads(row["messages"])[1]["content"] for row in cells(bench, output.splits["train"])}
    assert answers == {'["a", "b"]', '["a"]', "[]"}


def test_what_is_not_used_is_told_by_dataset_and_validation(bench: AgentBench, read: Read) -> None:
    marked = {**SAID, "weight": 0}
    rows = [{"messages": [ASKED, marked, {**ASKED, "mood": "calm"}, SAID], "rank": n, "id": n} for n in range(30)]
    dataset, _ = read(rows)
    assert dataset.unused_fields == {"messages.mood": 30, "rank": 30}
    assert dataset.unlearned == {"marked_unlearned": 30}
    told = [record["fields"] for record in bench.records if record.get("event") == "unused_field"]
    assert {(fields["field"], fields["count"]) for fields in told} == {("messages.mood", 30), ("rank", 30)}
    assert all(record["level"] == "warning" for record in bench.records if record.get("event") == "unused_field")
    output = ValidationAgent().run(ValidationConfig(), bench.context("validation", {"dataset": dataset}))
    assert (output.findings["unused_field"], output.findings["not_learned"]) == (60, 30)
    assert all(
        f"'{name}'" in bench.objects.get_artifact(output.report_markdown).decode() for name in dataset.unused_fields
    )


def test_too_few_prompts_are_refused_without_naming_a_label(bench: AgentBench, read: Read, tiny_decoder: Path) -> None:
    dataset, _ = read([{"prompt": name, "completion": "x"} for name in ("alpha beta", "gamma delta")])
    with pytest.raises(InvalidData, match="There are 2 different prompts: too few"):
        prepare(bench, dataset, tiny_decoder)


def test_cleaning_keeps_lines_and_indents() -> None:
    dirty = "\ufeffdef f():\r\n    return\u200b 1  \r\n\r\n\x07"
    assert clean_content(dirty) == "def f():\n    return 1"
    assert clean_content(clean_content(dirty)) == clean_content(dirty)
