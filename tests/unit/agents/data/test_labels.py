"""Labels are what they are in the source, in every format; never Python's spelling of it."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.base.errors import InvalidData
from agents.data.labels import LabelReader, separator_of
from tests.unit.agents.data.reading import read_rows, read_table, read_text


def labelled(labels: list[Any]) -> list[dict[str, Any]]:
    return [{"text": f"text {number}", "label": label} for number, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        *[(text, text) for text in ("None", "nan", "null", "NA", "007", "1.0", "-1", "x, y")],
        *[
            (1.0, "1"),
            (1, "1"),
            (3.5, "3.5"),
            (-1, "-1"),
            (True, "true"),
            (False, "false"),
            (1e-7, "1e-07"),
            (["x"], "x"),
        ],
        *[([3], "3"), ([2.0], "2"), ([True], "true"), ("['x']", "x"), ('["x"]', "x"), ("[1]", "1")],
    ],
)
def test_a_label_is_written_one_way(cell: Any, label: str, tmp_path: Path) -> None:
    _, rows = read_rows(tmp_path, labelled([cell, cell]))
    assert [row.label for row in rows] == [label, label]


@pytest.mark.parametrize("cell", [None, "", " ", float("nan"), [], [None], [""]])
def test_what_is_no_label_is_missing(cell: Any, tmp_path: Path) -> None:
    reader, rows = read_rows(tmp_path, labelled(["a", cell]))
    assert (len(rows), dict(reader.dropped)) == (1, {"missing_label": 1})


@pytest.mark.parametrize("write", ["jsonl", "csv", "parquet", "float32", "decimal"])
def test_the_same_stars_have_one_name_in_every_format(write: str, tmp_path: Path) -> None:
    stars = [1.0, 2.0, 3.5, 4.0, 1.1]
    table = {"text": [f"text {star}" for star in stars], "label": stars}
    if write == "jsonl":
        _, rows = read_rows(tmp_path, labelled(stars))
    elif write == "csv":
        _, rows = read_text(tmp_path, "text,label\n" + "".join(f"text {star},{star}\n" for star in stars), "rows.csv")
    else:
        decimals = pyarrow.array([Decimal(str(star)) for star in stars], pyarrow.decimal128(5, 2))
        kinds = {"float32": pyarrow.array(stars, pyarrow.float32()), "decimal": decimals}
        _, rows = read_table(tmp_path, pyarrow.table({**table, "label": kinds.get(write, stars)}))
    assert [row.label for row in rows] == ["1", "2", "3.5", "4", "1.1"]


def test_texts_of_tables_that_only_look_like_numbers_stay(tmp_path: Path) -> None:
    _, rows = read_text(tmp_path, "text,label\na,1.0\nb,007\nc,None\nd,1.0\n", "rows.csv")
    assert [row.label for row in rows] == ["1.0", "007", "None", "1.0"]


def test_several_labels_are_labels_from_the_first_row_on(tmp_path: Path) -> None:
    for form in (lambda labels: labels, json.dumps, str):
        reader, rows = read_rows(tmp_path, labelled([form(labels) for labels in (["joy"], ["joy", "fear"], [])]))
        assert [(row.label, row.labels) for row in rows] == [
            ("joy", ("joy",)),
            ("joy, fear", ("joy", "fear")),
            ("", ()),
        ]
        assert reader.columns is not None
        assert reader.columns.shape == "text_labels"
    reader, rows = read_rows(tmp_path, labelled([*[["a"], ["b"]] * 150, ["a", "b"]]))
    assert reader.columns is not None
    assert (reader.columns.shape, rows[-1].labels) == ("text_labels", ("a", "b"))


def test_a_map_of_labels_names_those_in_lists_and_numbers(tmp_path: Path) -> None:
    _, rows = read_rows(tmp_path, labelled([[0, 2], [1], [0]]), label_map={"0": "joy", "1": "fear"})
    assert [row.labels for row in rows] == [("joy",), ("fear",), ("joy",)]
    _, rows = read_text(tmp_path, "text,label\na,1.0\nb,2.0\n", "rows.csv", label_map={"1.0": "bad", "2": "good"})
    assert [row.label for row in rows] == ["bad", "good"]


@pytest.mark.parametrize("label", [{"name": "bad"}, [{"name": "bad"}]])
def test_objects_stop_where_labels_are_asked_for(label: Any, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidData, match=r"column 'label'\) are objects with the keys 'name'.*shape: prompt_completion"
    ):
        read_rows(tmp_path, labelled([label] * 2), shape="text_label")
    _, rows = read_rows(
        tmp_path, labelled([label] * 2), shape="prompt_completion", text_column="text", label_column="label"
    )
    assert [row.label for row in rows] == [json.dumps(label)] * 2
    reader, _ = read_rows(tmp_path, labelled([*["a", "b"] * 150, label]))
    assert dict(reader.dropped) == {"label_is_no_text": 1}


FEATURES: dict[str, Any] = {
    "one": {"names": ["neg", "pos"], "_type": "ClassLabel"},
    "list": [{"names": ["neg", "pos"], "_type": "ClassLabel"}],
    "sequence": {"feature": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "_type": "Sequence"},
}


@pytest.mark.parametrize("feature", FEATURES)
def test_classes_of_datasets_have_their_names_and_minus_one_is_none(feature: str, tmp_path: Path) -> None:
    labels: list[Any] = [0, 1, -1] if feature == "one" else [[0], [0, 1], [-1]]
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": FEATURES[feature]}}})}
    reader, rows = read_table(
        tmp_path, pyarrow.table({"text": ["a", "b", "c"], "label": labels}).replace_schema_metadata(metadata)
    )
    if feature == "one":
        assert ([row.label for row in rows], dict(reader.dropped)) == (["neg", "pos"], {"missing_label": 1})
    else:
        assert [row.labels for row in rows] == [("neg",), ("neg", "pos"), ()]


def test_dates_and_bytes_are_no_spelling_of_python(tmp_path: Path) -> None:
    days: list[Any] = [date(2024, 1, 2), datetime(2024, 1, 2, 3, 4)]
    for day in days:
        _, [row] = read_table(tmp_path, pyarrow.table({"text": ["a"], "label": [day], "when": [day]}))
        assert (row.label, row.extra["when"]) == (day.isoformat(), day.isoformat())
    reader, rows = read_table(tmp_path, pyarrow.table({"text": ["a", "b"], "label": [b"x", b"y"]}))
    assert (rows, dict(reader.dropped)) == ([], {"label_is_no_text": 2})


@given(st.lists(st.one_of(st.text(max_size=5), st.integers(), st.floats(allow_nan=False)), min_size=1, max_size=3))
@settings(max_examples=30)
def test_any_labels_come_back_from_a_list(tmp_path_factory: pytest.TempPathFactory, labels: list[Any]) -> None:
    _, rows = read_rows(tmp_path_factory.mktemp("rows"), labelled([labels, ["other", "more"]]))
    for label in rows[0].labels or ():
        assert label in {
            str(int(one)) if isinstance(one, float) and one.is_integer() else str(one).strip() for one in labels
        }


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["a, b", "a", "b, c", "c"], ","),
        (["a|b", "b", "c|a", "b|c"], "|"),
        (["x;y", "y;z", "z;x", "x"], ";"),
        (["joy , anger", "anger, fear", "fear , joy"], ","),
        (["Paris, France", "Lyon, France", "Nice, France"], None),
        (["Washington, DC", "Paris, France", "Washington, DC"], None),
        (["a", "b", "c"], None),
        ([], None),
    ],
)
def test_labels_of_one_cell_are_parted_where_they_come_again(cells: list[str], separator: str | None) -> None:
    assert separator_of(cells) == separator
    reader = LabelReader(cells, several=True, typed=False)
    assert [reader.read(cell)[1] for cell in cells] == [
        tuple(part.strip() for part in cell.split(separator)) if separator else (cell,) for cell in cells
    ]
    # Of one label each nothing is parted.
    assert LabelReader(cells, several=False, typed=False).separator is None
