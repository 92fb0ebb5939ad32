"""Rows between agents: written byte by byte as ever, so that digests stay, and read as they were written."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.errors import InvalidData
from agents.base.sources import Sources
from agents.data.rows import OWN_KEYS, RowsFile, from_json, read_rows, to_json
from agents.data.types import SPLITS, Message, Rendered, Row
from agents.dataset import DatasetAgent
from agents.dataset.types import DatasetConfig
from agents.preprocessing.work_rows import WorkRows
from agents.validation import ValidationAgent
from agents.validation.types import ValidationConfig
from tests.conftest import AgentBench

TABLE = 'id,message,category,row\n7,h\u00e9llo +44 7911 123456,ham,x\n8,"win, ""now""",spam,y\n'
TURNS = [("system", "Be brief."), ("user", "mail jo@example.org"), ("assistant", "done \u2028 \u00e9")]
CONVERSATIONS: list[dict[str, Any]] = [
    {
        "messages": [{"role": role, "content": content} for role, content in TURNS],
        "id": 1.0,
        "nested": {"b": [1, None]},
        "label": "kept",
        "file": "f",
    },
    {"messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "file": "g"},
]
LINES = "".join(json.dumps(row) + "\n" for row in CONVERSATIONS)
#: Files, and the sha256 of their rows as read, and with personal data masked. They must never change.
DIGESTS = [
    (
        {"rows.csv": TABLE},
        "380d6877d01f5a1f1b7a09b7bef586dfa7f7579986e1625d43fa0b1436ad9a47",
        "d6f50c80928ba5b4e63d7e39653cc26455a0a997c0c092da3a9321c3de8e55f9",
    ),
    (
        {"rows.jsonl": LINES},
        "4675d2355554a0ea4bd2c55e4ae6d51f092114f2415bcd7c49b1f9394b8aca77",
        "5b9a2778ba25544bad0c4c3e1473f9e4fcd858aa63174532f7d7812eee58e011",
    ),
    (
        {"1.jsonl": LINES, "2.jsonl": LINES},
        "ab4c891bd8f84b11868af37f678f720edb467e7dcd44adfb7f1cc5560802d733",
        "b1360d55da5bf2a6b3caac4f06917d112646d1a6b69aaedb93a3f803854f1e26",
    ),
]


@pytest.mark.parametrize(("files", "read", "masked"), DIGESTS)
def test_rows_artifacts_have_the_digests_that_they_always_had(
    bench: AgentBench, tmp_path: Path, files: dict[str, str], read: str, masked: str
) -> None:
    (tmp_path / "source").mkdir()
    for name, content in files.items():
        (tmp_path / "source" / name).write_text(content, encoding="utf-8")
    sources = Sources(bench.objects, (tmp_path,), tmp_path / "cache")
    config = DatasetConfig(source="source" if len(files) > 1 else f"source/{next(iter(files))}")
    dataset = DatasetAgent().run(config, bench.context("dataset", sources=sources))
    assert dataset.rows.sha256 == read
    validation = ValidationConfig(pii="mask", minimum_rows=2, minimum_label_rows=1)
    output = ValidationAgent().run(validation, bench.context("validation", {"dataset": dataset}))
    assert output.rows.sha256 == masked


def test_a_row_has_its_keys_in_their_order() -> None:
    messages: list[Message] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert list(to_json(Row(3, "a", "b", messages, {"id": 7}))) == ["row", "text", "label", "messages", "id"]
    assert list(to_json(Row(3, "a", "b"))) == ["row", "text", "label"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
calls = st.lists(st.fixed_dictionaries({"name": st.text(), "arguments": values}), max_size=2)
turns = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.text()},
        optional={"tool_calls": calls, "reasoning": st.text(), "learned": st.booleans(), "name": st.text()},
    ),
    max_size=3,
)
extras = st.dictionaries(st.text().filter(lambda name: name not in OWN_KEYS), values, max_size=3)
rows = st.builds(
    Row,
    st.integers(1),
    st.text(),
    st.text(),
    st.none() | turns,
    extras,
    labels=st.none() | st.lists(st.text(), max_size=3).map(tuple),
    tools=st.none() | st.lists(st.dictionaries(st.text(), values, max_size=2), max_size=2),
    rejected=st.none() | turns,
    split=st.none() | st.sampled_from(SPLITS),
)


@given(rows)
def test_a_row_is_read_as_it_was_written_between_agents_and_at_work(row: Row) -> None:
    assert from_json(json.loads(json.dumps(to_json(row)))) == row
    with TemporaryDirectory() as folder, WorkRows(Path(folder) / "work.jsonl", 13, named_labels=False) as work:
        work.add(row, 0)
        assert list(work.read([0])) == [replace(row, extra={})]


@pytest.mark.parametrize("column", [{"labels": "a"}, {"tools": "[]"}, {"rejected": ["a"]}, {"split": "fold 3"}])
def test_columns_of_a_source_that_0_1_0_wrote_by_names_that_rows_have_now_stay_columns(column: dict[str, Any]) -> None:
    assert from_json({"row": 1, "text": "a", "label": "x", **column}) == Row(1, "a", "x", extra=column)


def test_a_file_of_rows_is_read_line_by_line_and_a_line_that_lacks_something_is_named(tmp_path: Path) -> None:
    with RowsFile(tmp_path / "rows.jsonl") as file:
        file.add(Row(1, "one\u2028line", "x"))
    assert list(read_rows(file.path)) == [Row(1, "one\u2028line", "x")]
    file.path.write_text('{"row": 1, "text": "a", "label": "x"}\n{"row": 2, "text": "b"}\n')
    with pytest.raises(InvalidData, match="Line 2 of the rows has no 'label'"):
        list(read_rows(file.path))


def test_rows_at_work_come_back_with_their_tokens_in_any_order(tmp_path: Path) -> None:
    messages: list[Message] = [{"role": "user", "content": "half \ud83d"}, {"role": "assistant", "content": "b"}]
    first = Row(1, "half \ud83d", "b", messages, rendered=Rendered([1, 2], [False, True]))
    second = Row(2, "a", "x")
    with WorkRows(tmp_path / "work.jsonl", 13, named_labels=False) as work:
        work.add(first, 0)
        work.add(second, 1)
        assert list(work.read([1, 0])) == [second, first]
