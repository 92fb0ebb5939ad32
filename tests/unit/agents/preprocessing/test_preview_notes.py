"""What a preview says of its counts: of which rows they are, and what is not shown of them."""

from pathlib import Path
from typing import Any

import pytest

from agents.base.row_budget import RowBudget
from agents.dataset.types import DatasetConfig
from agents.preprocessing.preview import read_preview


def notes_of(folder: Path, labels: list[str]) -> dict[str, Any]:
    path = folder / "rows.csv"
    lines = [f"lamp number {n},{label}" for n, label in enumerate(labels)]
    path.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    return read_preview(DatasetConfig(source=str(path)), path, 3, RowBudget())[1]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["a"] * 1001 + ["b"] * 2, ["of the first 1,000 rows alone", "All of them have the label 'a'"]),
        (["a", "b"] * 600, ["of the first 1,000 rows alone"]),
        ([f"label_{n % 25}" for n in range(50)], ["5 more labels are not shown: there are 25"]),
        (["ham", "Ham", "spam"] * 20, ["differ only in case, width or marks that nobody sees: 'ham', 'Ham'"]),
        (["a", "b"] * 20, []),
    ],
)
def test_notes_say_what_the_counts_are_of(tmp_path: Path, labels: list[str], told: list[str]) -> None:
    found = notes_of(tmp_path, labels)
    assert len(found["notes"]) == len(told)
    assert all(part in note for part, note in zip(told, found["notes"], strict=True))
    assert found["labels_seen"] == len(set(labels[:1000]))
