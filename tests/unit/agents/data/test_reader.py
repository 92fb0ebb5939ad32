"""Rows whose columns can't be told from the first of them."""

from pathlib import Path

import pytest

from agents.base.errors import InvalidData
from agents.data.files.folders import row_files
from agents.data.reader import SAMPLE_ROWS, RowsReader
from agents.dataset.types import DatasetConfig
from tests.fuzz.parsers import Quiet

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


def test_the_cure_cures(tmp_path: Path) -> None:
    assert len(list(reader_of(tmp_path, GOOD * 3, "rows.jsonl").rows())) == 3


def test_a_few_empty_rows_before_are_counted_and_left_out(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, "{}\n" * 10 + GOOD * 3, "rows.jsonl")
    assert len(list(reader.rows())) == 3
    assert reader.dropped.total() == 10
