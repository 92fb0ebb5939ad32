"""Rows whose columns can't be told from the first of them."""

from pathlib import Path

import pytest

from agents.base.errors import InvalidData
from agents.data.columns import SAMPLE_ROWS
from agents.data.files.folders import row_files
from agents.data.reader import RowsReader
from agents.dataset.types import DatasetConfig
from tests.fuzz.parsers import Quiet
from tests.unit.agents.data.reading import read_text

GOOD = '{"text": "Win now", "label": "spam"}\n'


def reader_of(folder: Path, content: str, name: str) -> RowsReader:
    (folder / name).write_text(content)
    return RowsReader(DatasetConfig(source=name), Quiet(), row_files(folder / name))


@pytest.mark.parametrize(
    ("first", "name"),
    [("{\n", "rows.jsonl"), ("{}\n", "rows.jsonl"), ("{}\nnull\n", "rows.jsonl")],
)
def test_rows_that_begin_after_the_sample_are_refused_with_the_cure(first: str, name: str, tmp_path: Path) -> None:
    reader = reader_of(tmp_path, first * SAMPLE_ROWS + GOOD * 30_000, name)
    with pytest.raises(
        InvalidData, match=r"first 200 rows of 'rows\.jsonl' are empty or can't be read.*Fix these rows"
    ):
        list(reader.rows())


NAMED = {"text_column": "q", "label_column": "a"}
ANSWERS: dict[str, tuple[str, dict[str, str], str]] = {
    "named": ("q,a,n\nWhere is it?,It is in the box.,1\nWhen?,On the day after.,2\n", NAMED, "prompt_completion"),
    "known": ("source,target\nGood day to you,Guten Tag zu dir\nSee you,Bis dann also\n", {}, "prompt_completion"),
    "labels": ("text,label\nGood day to you,Guten Tag zu dir\nSee you,Bis dann also\n", {}, "text_label"),
    "again": ("q,a,n\nWhere?,In a box,1\nWhen?,In a box,2\nWho?,Not yet so,3\nSo?,Not yet so,4\n", NAMED, "text_label"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_a_label_of_several_words_that_differ_is_an_answer(name: str, tmp_path: Path) -> None:
    content, options, shape = ANSWERS[name]
    reader, rows = read_text(tmp_path, content, "rows.csv", **options)
    assert reader.columns is not None
    assert reader.columns.shape == shape
    assert all((row.messages is None) == (shape == "text_label") for row in rows)


def test_the_cure_cures(tmp_path: Path) -> None:
    assert len(list(reader_of(tmp_path, GOOD * 3, "rows.jsonl").rows())) == 3


def test_a_few_empty_rows_before_are_counted_and_left_out(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, "{}\n" * 10 + GOOD * 3, "rows.jsonl")
    assert len(list(reader.rows())) == 3
    assert reader.dropped.total() == 10
