"""Preference data in the forms that are published: recognised, and never learned as plain answers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import InvalidData
from agents.data.types import Message
from tests.unit.agents.data.reading import read_rows, read_text

ASKED: list[Message] = [{"role": "user", "content": "Name a fruit."}]
PEAR: Message = {"role": "assistant", "content": "A pear."}
CHAIR: Message = {"role": "assistant", "content": "A chair."}
GPT = {"from": "gpt", "value": "A pear."}, {"from": "gpt", "value": "A chair."}
HH = "\n\nHuman: Name a fruit.\n\nAssistant: {}"
PAIRS: dict[str, dict[str, Any]] = {
    "flat": {"prompt": "Name a fruit.", "chosen": "A pear.", "rejected": "A chair."},
    "question": {"question": "Name a fruit.", "chosen": "A pear.", "rejected": "A chair.", "system": ""},
    "alpaca": {"instruction": "Name a fruit.", "input": "", "chosen": "A pear.", "rejected": "A chair."},
    "TRL": {"prompt": ASKED, "chosen": [PEAR], "rejected": [CHAIR]},
    "TRL, whole": {"chosen": [*ASKED, PEAR], "rejected": [*ASKED, CHAIR]},
    "prompt again": {
        "prompt": "Name a fruit.",
        "chosen": [*ASKED, PEAR],
        "rejected": [*ASKED, CHAIR],
        "score_chosen": 1,
    },
    "hh": {"chosen": HH.format("A pear."), "rejected": HH.format("A chair.")},
    "sharegpt": {"conversations": [{"from": "human", "value": "Name a fruit."}], "chosen": GPT[0], "rejected": GPT[1]},
    "openai": {"input": {"messages": ASKED}, "preferred_output": [PEAR], "non_preferred_output": [CHAIR]},
    "responses": {"prompt": "Name a fruit.", "chosen_response": "A pear.", "rejected_response": "A chair."},
    "JSON text": {"chosen": json.dumps([*ASKED, PEAR]), "rejected": json.dumps([*ASKED, CHAIR])},
    "swift": {"messages": [*ASKED, PEAR], "rejected_response": "A chair."},
    "swift, query": {"query": "Name a fruit.", "response": "A pear.", "rejected_response": "A chair."},
    "stack": {"question": "Name a fruit.", "response_j": "A pear.", "response_k": "A chair."},
    "messages": {"messages": [*ASKED, PEAR], "rejected_messages": [*ASKED, CHAIR]},
    "output pair": {"instruction": "Name a fruit.", "input": "", "output": ["A pear.", "A chair."]},
}
JUDGED: dict[str, dict[str, Any]] = {
    "messages": {"messages": [*ASKED, PEAR], "label": True},
    "prompt": {"prompt": "Name a fruit.", "completion": "A pear.", "label": True},
    "alpaca": {"instruction": "Name a fruit.", "output": "A pear.", "kto_tag": True},
    "sharegpt": {"conversations": [{"from": "human", "value": "Name a fruit."}, GPT[0]], "kto_tag": "true"},
    "word": {"messages": [*ASKED, PEAR], "label": "chosen"},
    "number": {"prompt": [*ASKED], "completion": [PEAR], "desirable": 1},
}
OPPOSITE: dict[str, Any] = {"True": False, "chosen": "rejected", "true": "false", "1": 0}


@pytest.mark.parametrize("form", PAIRS)
def test_pairs_are_two_conversations_of_one_prompt(form: str, tmp_path: Path) -> None:
    reader, rows = read_rows(tmp_path, [PAIRS[form]] * 3)
    assert reader.columns is not None
    assert reader.columns.shape == "preference"
    assert all(row.messages == [*ASKED, PEAR] and row.rejected == [*ASKED, CHAIR] for row in rows)
    assert (len(rows), rows[0].text, rows[0].label) == (3, "Name a fruit.", "A pear.")


@pytest.mark.parametrize("form", JUDGED)
def test_a_judged_answer_is_never_learned_where_it_is_bad(form: str, tmp_path: Path) -> None:
    good = JUDGED[form]
    bad = {name: OPPOSITE.get(str(value), value) for name, value in good.items()}
    reader, rows = read_rows(tmp_path, [good, bad])
    assert reader.columns is not None
    assert reader.columns.shape == "preference"
    assert (rows[0].messages, rows[0].rejected) == ([*ASKED, PEAR], [])
    assert (rows[1].messages, rows[1].rejected) == ([*ASKED, {**PEAR, "learned": False}], [*ASKED, PEAR])


@pytest.mark.parametrize("form", [*PAIRS, *(f"judged {form}" for form in JUDGED)])
def test_the_cure_gives_the_better_answers_alone(form: str, tmp_path: Path) -> None:
    rows = [PAIRS[form]] * 2 if form in PAIRS else [JUDGED[form.removeprefix("judged ")]] * 2
    reader, _ = read_rows(tmp_path, rows)
    assert reader.columns is not None
    assert reader.columns.preference is not None
    cure = reader.columns.preference.cure
    config = dict(re.findall(r"`(\w+): ([^`]+)`", cure))
    if not config:
        assert "Write the better answer alone into 'output'" in cure
        rows = [{**row, "output": row["output"][0]} for row in rows]
    cured, read = read_rows(tmp_path, rows, **config)
    assert cured.columns is not None
    assert cured.columns.shape != "preference"
    assert [(row.messages, row.rejected) for row in read] == [([*ASKED, PEAR], None)] * 2


def test_with_the_shape_asked_for_answers_that_are_bad_are_left_out(tmp_path: Path) -> None:
    rows = [JUDGED["messages"], {"messages": [*ASKED, CHAIR], "label": False}]
    reader, read = read_rows(tmp_path, rows, shape="messages")
    assert ([row.label for row in read], dict(reader.dropped)) == (["A pear."], {"undesirable": 1})


@pytest.mark.parametrize(
    "columns", [{"text_column": "chosen"}, {"label_column": "rejected"}, {"label_column": "chosen"}]
)
def test_answers_of_a_pair_are_not_taken_as_text_and_label(columns: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"preference data \(the columns 'chosen' and 'rejected'.*Set `shape: "):
        read_rows(tmp_path, [PAIRS["flat"]] * 3, **columns)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "equal_answers"),
        ({"prompt": "a", "chosen": "b", "rejected": None}, "no_rejected_answer"),
        ({"prompt": "a", "chosen": "", "rejected": "b"}, "no_answer"),
        ({"prompt": "", "chosen": "b", "rejected": "c"}, "missing_text"),
        ({"prompt": "<image>a", "chosen": "b", "rejected": "c"}, "content_is_no_text"),
    ],
)
def test_pairs_that_say_nothing_are_counted(row: dict[str, Any], reason: str, tmp_path: Path) -> None:
    reader, rows = read_rows(tmp_path, [PAIRS["flat"], row])
    assert (len(rows), dict(reader.dropped)) == (1, {reason: 1})


def test_labels_of_other_kinds_beside_answers_are_not_judgements(tmp_path: Path) -> None:
    for label in ("kept", 1, 0.5, ["x"]):
        reader, rows = read_rows(tmp_path, [{"messages": [*ASKED, PEAR], "label": label}] * 2)
        assert reader.columns is not None
        assert (reader.columns.shape, len(rows)) == ("messages", 2)
        assert dict(reader.notes.unused_fields) == {"label": 2}


def test_ones_and_zeros_beside_answers_are_judgements_where_there_are_both(tmp_path: Path) -> None:
    reader, rows = read_rows(tmp_path, [{"messages": [*ASKED, PEAR], "label": label} for label in (1, 0)])
    assert reader.columns is not None
    assert (reader.columns.shape, rows[1].messages) == ("preference", [*ASKED, {**PEAR, "learned": False}])


def test_a_shape_of_preference_data_can_be_named_and_what_lacks_it_is_told(tmp_path: Path) -> None:
    table = "q,chosen,rejected\nName a fruit.,A pear.,A chair.\nName one.,A plum.,A lamp.\n"
    _, rows = read_text(tmp_path, table, "rows.csv", shape="preference", text_column="q")
    assert [row.text for row in rows] == ["Name a fruit.", "Name one."]
    with pytest.raises(InvalidData, match=r"'rows\.csv' has no preference data"):
        read_text(tmp_path, "text,label\na,b\nc,d\n", "rows.csv", shape="preference")
