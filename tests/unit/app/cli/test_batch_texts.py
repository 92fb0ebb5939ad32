"""The texts of a batch's file: what is read, and how a file that can't be is refused."""

import json
from pathlib import Path

import pytest

from agents.base.errors import TunelineError
from app.cli.texts import read_texts


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_plain_text_is_a_text_a_line_whatever_is_in_it(tmp_path: Path) -> None:
    assert read_texts(written(tmp_path, "a.txt", "one, two\n\n[three]\n{four\n")) == ["one, two", "[three]", "{four"]


@pytest.mark.parametrize(
    ("name", "content", "column"),
    [
        ("a.csv", 'id,Message\n1,"one, two"\n2,three\n', None),
        ("a.tsv", "id\tbody\tnote\n1\tone, two\tx\n2\tthree\ty\n", "body"),
        ("a.jsonl", '{"only": "one, two"}\n{"only": "three"}\n', None),
        ("a.json", json.dumps([{"text": "one, two", "n": 1}, {"text": "three", "n": 2}]), None),
    ],
)
def test_a_column_of_a_table_is_found_or_named(tmp_path: Path, name: str, content: str, column: str | None) -> None:
    assert read_texts(written(tmp_path, name, content), column) == ["one, two", "three"]


@pytest.mark.parametrize(
    ("name", "content", "column", "words"),
    [
        ("a.txt", "", None, "'a.txt' is empty"),
        ("a.txt", "x" * 20_001, None, "row 1 has a text of 20,001 characters. A text may have at most 20,000"),
        ("a.txt", "one\n", "text", "it has no columns"),
        ("a.csv", "id,note\n1,x\n2,y\n", None, "it has 'id', 'note'. Name it with --column"),
        ("a.jsonl", '{"text": "one"}\n{"text": " "}\n', None, "row 2 has no text in the column 'text'"),
        ("a.jsonl", '{"text": "one"}\n{"text": \n', None, "'a.jsonl', row 2:"),
    ],
)
def test_what_can_not_be_sent_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str, column: str | None, words: str
) -> None:
    with pytest.raises(TunelineError) as refused:
        read_texts(written(tmp_path, name, content), column)
    assert words in str(refused.value)
