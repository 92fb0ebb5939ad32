"""The model card's tables hold, whatever the labels are made of."""

from agents.export.card import label_tables

LABELS = ["a|b", "two\nlines", "<b>"]


def test_a_label_is_one_cell_whatever_it_is_made_of() -> None:
    metrics = {f"{figure}.{label}": 0.5 for figure in ("precision", "recall", "f1") for label in LABELS}
    lines = label_tables({"labels": LABELS, "metrics": metrics, "confusion": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]})

    assert "| a\\|b | 0.5000 | 0.5000 | 0.5000 |" in lines
    assert "| true \\ predicted | a\\|b | two lines | &lt;b> |" in lines
    assert not any("\n" in line for line in lines)
