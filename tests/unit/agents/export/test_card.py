"""The model card's tables hold, whatever the labels are made of."""

from agents.export.card_tables import label_tables
from agents.formats.manifest import Manifest

LABELS = ["a|b", "two\nlines", "<b>", "`c`", "d\\"]


def test_a_label_is_one_cell_whatever_it_is_made_of() -> None:
    metrics = {f"{figure}.{label}": 0.5 for figure in ("precision", "recall", "f1") for label in LABELS}
    confusion = [[int(row == column) for column in range(5)] for row in range(5)]
    manifest = Manifest(
        name="spam",
        version=1,
        task="classification",
        labels=LABELS,
        max_tokens=8,
        formats={},
        metrics=metrics,
        confusion=confusion,
        verdict="HOLD",
        reasons=[],
    )
    figures, matrix = (table.splitlines() for table in label_tables(manifest))

    assert len(figures) == len(matrix) == 2 + len(LABELS)
    cells = ["a\\|b", "two lines", "&lt;b>", "\\`c\\`", "d\\\\"]
    assert [line.split(" | ")[0].strip("| ") for line in figures[2:]] == cells
    assert all(line.replace("\\|", "").count("|") == 5 for line in figures)
    assert all(line.replace("\\|", "").count("|") == 7 for line in matrix)
