"""Columns by evidence: what is in them, not only what they are called; where two are as good, the user is asked."""

import re
from typing import Any

import pytest

from agents.base.errors import InvalidData
from agents.data.columns import find_columns
from agents.data.token_rows import refuse_token_rows

TEXTS = ["The lamp arrived broken", "Great service", "I want my money back", "Lovely packaging", "Nobody answered me"]
LABELS = ["bad", "good", "bad", "good", "bad"]


def rows(**columns: list[Any]) -> list[dict[str, Any]]:
    count = max(map(len, columns.values()))
    return [{name: cells[number % len(cells)] for name, cells in columns.items()} for number in range(count)]


MANY = [f"{text} {number}" for number, text in enumerate(TEXTS * 4)]
MISNAMED = {
    "e-mail addresses": (
        rows(email=["a@b.example", "c@d.example"], feedback=TEXTS, category=LABELS),
        "feedback",
        "category",
    ),
    "names of files": (rows(document=["d1.pdf", "d2.pdf"], remarks=TEXTS, label=LABELS), "remarks", "label"),
    "links": (rows(content=["https://a.example/1", "www.b.example"], what=TEXTS, label=LABELS), "what", "label"),
    "dates": (rows(message=["2024-01-02 10:00", "3/4/2024"], said=TEXTS, label=LABELS), "said", "label"),
    "ids": (rows(comment=["c-101", "c-102", "c-103", "x7", "u-1f"], said=TEXTS, label=LABELS), "said", "label"),
    "numbers": (rows(review=["1", "2,5", "-3e4"], said=TEXTS, label=LABELS), "said", "label"),
    "JSON": (rows(body=['{"a": 1}', "[2]"], said=TEXTS, label=LABELS), "said", "label"),
    "objects": (rows(body=[{"a": 1}], said=TEXTS, label=LABELS), "said", "label"),
    "one value": (rows(text=MANY, type=["export"], mood=LABELS), "text", "mood"),
    "values": (rows(text=MANY, label=[f"T{n}x" for n in range(20)], mood=LABELS), "text", "mood"),
}


@pytest.mark.parametrize("what", MISNAMED)
def test_a_known_name_loses_to_a_column_whose_cells_fit(what: str) -> None:
    sample, text, label = MISNAMED[what]
    found = find_columns("'x'", sample, None, None, has_header=True)
    assert (found.text, found.label) == (text, label)
    assert f"holds {'ids' if what == 'values' else what}" in found.why


BARE = {
    "a constant column is no label": ([TEXTS, ["0", "1"], ["src1"]], "column_1", "column_2"),
    "JSON is not the text": ([["0", "1"], TEXTS, ['{"tokens": ["The", "lamp", "arrived"]}']], "column_2", "column_1"),
    "emoji are labels": ([MANY, ["\U0001f600", "\U0001f622", "\u2764\ufe0f", "\U0001f525"]], "column_1", "column_2"),
    "labels may have two words": ([["Tech Support", "Billing"], MANY], "column_2", "column_1"),
    "ids, dates and users are neither": (
        [["0", "4"], [f"14678{n}" for n in range(20)], ["Mon Apr 06 22:19:45 PDT 2009"], ["NO_QUERY"], MANY],
        "column_5",
        "column_1",
    ),
    "texts without blanks": ([["好", "坏"], [f"灯很好看我很喜欢{n}号" for n in range(20)]], "column_2", "column_1"),
    "texts of one word": ([["a", "b"], [f"word{chr(97 + n)}" for n in range(20)]], "column_2", "column_1"),
}


@pytest.mark.parametrize("what", BARE)
def test_columns_without_names_are_told_by_what_they_hold(what: str) -> None:
    cells, text, label = BARE[what]
    sample = rows(**{f"column_{place}": column for place, column in enumerate(cells, start=1)})
    found = find_columns("'x'", sample, None, None, has_header=False)
    assert (found.text, found.label) == (text, label)


OTHERS = [f"Another sentence of the same length {n}" for n in range(20)]
AS_GOOD = {
    "label_column": [
        rows(text=MANY, intent=["ask", "tell"], category=["a", "b", "c"]),
        rows(text=MANY, sentiment=LABELS, rating=["1", "2", "3"]),
        rows(text=MANY, mood=LABELS, tone=["calm", "loud"]),
        rows(column_1=MANY, column_2=LABELS, column_3=["x", "y", "z"]),
    ],
    "text_column": [
        rows(premise=MANY, hypothesis=OTHERS, label=LABELS),
        rows(question=MANY, sentence=OTHERS, label=LABELS),
        rows(column_1=MANY, column_2=OTHERS, column_3=LABELS),
        rows(label=MANY, text=LABELS),
    ],
}


@pytest.mark.parametrize(("option", "sample"), [(key, one) for key, found in AS_GOOD.items() for one in found])
def test_where_two_columns_are_as_good_the_user_is_asked_and_the_cure_cures(option: str, sample: list[Any]) -> None:
    has_header = "column_1" not in sample[0]
    with pytest.raises(InvalidData, match="several columns that may be") as raised:
        find_columns("'x'", sample, None, None, has_header=has_header)
    assert "(such as '" in raised.value.message
    named = re.search(rf"-p {option}=(\w+)", raised.value.cure)
    assert named, raised.value.cure
    chosen = {"text": None, "label": None, option.removesuffix("_column"): named[1]}
    found = find_columns("'x'", sample, chosen["text"], chosen["label"], has_header=has_header)
    assert named[1] in (found.text, found.label)
    assert "is set as" in found.why


def test_a_clearly_longer_text_and_the_surest_name_are_no_guess() -> None:
    long = [f"{text}. It was on a Monday, and I have been waiting for an answer since." * 2 for text in MANY]
    found = find_columns("'x'", rows(headline=MANY, story=long, label=LABELS), None, None, has_header=True)
    assert (found.text, found.label) == ("story", "label")
    found = find_columns(
        "'x'", rows(comment=long, text=MANY, category=LABELS, label=LABELS), None, None, has_header=True
    )
    assert (found.text, found.label) == ("text", "label")


TOKENS: list[list[dict[str, Any]]] = [
    [{"tokens": ["Anna", "lives"], "ner_tags": [1, 0]}, {"tokens": ["Oslo"], "ner_tags": [3]}],
    [{"words": ["Anna", "lives"], "labels": ["B-PER", "O"]}],
    rows(word=["Anna", "lives", "in", "Oslo"], tag=["B-person", "O", "O", "B-place"]),
    rows(tokens=["['Anna', 'lives']"], tags=["['B-person', 'O']"]),
    [{"sentence": "Anna lives", "labels": ["B-PER", "O"]}],
    [{"text": "Anna lives", "label": [[0, 4, "PER"]]}, {"text": "no", "label": []}],
    [{"text": "Anna lives", "entities": [{"start": 0, "end": 4, "type": "PER"}]}],
    [{"text": "Anna lives", "spans": [{"start_offset": 0, "end_offset": 4, "label": "PER"}]}],
]


@pytest.mark.parametrize("sample", TOKENS)
def test_token_labels_are_refused_by_their_name(sample: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidData, match="has token labels") as raised:
        refuse_token_rows("'x'", sample)
    assert "classification" in raised.value.cure


def test_several_labels_are_no_token_labels() -> None:
    sample = [{"text": "Anna lives in Oslo", "labels": ["a", "b"]}, {"text": "No", "labels": ["a"]}]
    refuse_token_rows("'x'", sample)
    found = find_columns("'x'", sample, None, None, has_header=True)
    assert (found.text, found.label) == ("text", "labels")


@pytest.mark.parametrize(
    "other",
    [{"id": [str(n) for n in range(20)]}, {"column_1": [str(n + 7) for n in range(20)]}, {"date": ["2024-01-02"]}],
)
def test_numbers_that_count_and_dates_are_no_label_beside_a_text(other: dict[str, list[Any]]) -> None:
    with pytest.raises(InvalidData, match="no column that is known to be the label"):
        find_columns("'x'", rows(said=MANY, **other), None, None, has_header=True)


def test_one_column_is_refused_and_never_taken_twice() -> None:
    sample = rows(text=TEXTS)
    with pytest.raises(InvalidData, match="has one column only, 'text'"):
        find_columns("'x'", sample, None, None, has_header=True)
    with pytest.raises(InvalidData, match="are the same column"):
        find_columns("'x'", rows(text=TEXTS, label=LABELS), "text", "text", has_header=True)
