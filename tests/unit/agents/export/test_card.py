"""The model card holds, whatever labels, reasons and names are made of."""

import ast

import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from agents.export.card import model_card
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
    cells = ["a\\|b", "two lines", "&lt;b&gt;", "\\`c\\`", "d\\\\"]
    assert [line.split(" | ")[0].strip("| ") for line in figures[2:]] == cells
    assert all(line.replace("\\|", "").count("|") == 5 for line in figures)
    assert all(line.replace("\\|", "").count("|") == 7 for line in matrix)


EVIL = st.text(st.sampled_from("ab \n`<>|[]()#-*_!\\:/.&\"'\x00\u2028") | st.characters(), min_size=1, max_size=30)
HEADINGS = [
    "Intended use and limits",
    "Results on the frozen test split",
    "Beside baselines",
    "Verdict",
    "Data",
    "Training",
    "Formats",
    "Use",
]


@given(EVIL, EVIL, EVIL)
def test_nothing_from_outside_becomes_a_heading_html_or_a_link_of_the_card(
    label: str, reason: str, source: str
) -> None:
    manifest = Manifest.model_validate(
        {
            "name": "spam",
            "version": 1,
            "task": "classification",
            "labels": [label, f"{label}2"],
            "positive_label": label,
            "base_model": source,
            "job": reason,
            "max_tokens": 8,
            "formats": {"merged": [], "adapter": [], "onnx": [], "onnx_int8": []},
            "metrics": {"f1": 0.5, f"f1.{label}": 0.5, f"f1.{label}2": 0.5},
            "metric": "f1",
            "verdict": "HOLD",
            "reasons": [reason, f"Recall of '{label}' is low."],
            "data": {"source": source, "rows": 2, "splits": {"train": 2}, "dropped": {reason: 1}},
            "environment": {"python": reason},
            "training": {"task": label, "model": source, "lora": {label: [reason, None, True, 0.5]}},
            "license": "mit",
            "languages": ["en"],
        }
    )
    for form in (None, *manifest.formats):
        _check_page(model_card(manifest, form))


def _check_page(card: str) -> None:
    head, _, page = card.removeprefix("---\n").partition("\n---\n")
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    inside = [child for token in tokens for child in token.children or []]
    headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]

    for lines in (token.content for token in tokens if token.type == "fence" and token.info == "python"):
        ast.parse(lines)
    assert headings == ["spam v1", *HEADINGS]
    assert yaml.safe_load(head)["model-index"][0]["name"] == "spam"
    assert not {token.type for token in tokens} & {"html_block", "code_block", "blockquote_open", "hr"}
    assert not {token.type for token in inside} & {"html_inline", "link_open", "image", "em_open"}
