"""DatasetAgent: rows come out with their line, text and label; what is left out is counted; bad sources are final."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from agents.base.errors import InvalidData
from agents.base.sources import Sources
from agents.dataset import DatasetAgent
from agents.dataset.types import DatasetConfig, DatasetOutput
from tests.conftest import REPOSITORY, SHARED_DATA, AgentBench

DATA_PAGE = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
RunDataset = Callable[..., tuple[DatasetOutput, list[dict[str, Any]]]]


@pytest.fixture
def run_dataset(bench: AgentBench, tmp_path: Path) -> RunDataset:
    """Write a file, run the agent on it, and return its output and rows."""

    def run(content: str | bytes, name: str = "rows.csv", **options: Any) -> tuple[DatasetOutput, list[dict[str, Any]]]:
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        sources = Sources(bench.objects, (tmp_path,), tmp_path / "cache")
        config = DatasetConfig.model_validate({"source": f"data/{name}", **options})
        output = DatasetAgent().run(config, bench.context("dataset", sources=sources))
        return output, rows_of(bench, output)

    return run


def rows_of(bench: AgentBench, output: DatasetOutput) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bench.objects.get_artifact(output.rows).decode().splitlines()]


def test_rows_carry_line_text_label_and_the_other_columns(run_dataset: RunDataset) -> None:
    output, rows = run_dataset("id,message,category,row\n7,hello,ham,x\n8,win,spam,y\n")
    assert rows == [
        {"row": 2, "text": "hello", "label": "ham", "id": "7", "source_row": "x"},
        {"row": 3, "text": "win", "label": "spam", "id": "8", "source_row": "y"},
    ]
    assert (output.text_column, output.label_column) == ("message", "category")
    assert output.columns == ["id", "message", "category", "row"]
    assert output.label_counts == {"ham": 1, "spam": 1}


def test_rows_that_lack_something_are_counted_by_reason_and_logged(bench: AgentBench, run_dataset: RunDataset) -> None:
    lines = [{"text": "a", "label": "x"}, {"text": "b", "label": 1}, {"text": None, "label": "x"}, {"label": "x"}]
    lines += [{"text": "c", "label": " "}, {"text": ["d"], "label": "x"}, {"text": "", "label": "x"}]
    output, rows = run_dataset("".join(json.dumps(line) + "\n" for line in lines), "rows.jsonl")
    assert output.dropped == {"missing_text": 2, "missing_label": 1, "text_is_no_text": 1}
    assert [(row["row"], row["text"], row["label"]) for row in rows] == [(1, "a", "x"), (2, "b", "1"), (7, "", "x")]
    told = next(record for record in bench.records if record.get("event") == "rows_dropped")
    assert told["fields"] == {"rows": 4, "reasons": output.dropped}


def test_a_few_broken_lines_are_counted_and_one_percent_is_refused(run_dataset: RunDataset) -> None:
    good = [json.dumps({"text": f"t{n}", "label": str(n % 2)}) + "\n" for n in range(99)]
    with pytest.raises(InvalidData, match=r"'rows.jsonl', line 1: column 1: Expecting value; 1 of 100 lines") as raised:
        run_dataset("".join(["oops\n", *good]), "rows.jsonl")
    assert not raised.value.retryable
    output, _ = run_dataset("".join(["oops\n", *good, good[0], good[1]]), "rows.jsonl")
    assert (output.row_count, output.dropped) == (101, {"invalid_json": 1})


def test_a_label_map_renames_and_leaves_out_what_it_does_not_name(run_dataset: RunDataset) -> None:
    output, rows = run_dataset("text,label\na,0\nb,1\nc,2\n", label_map={0: "ham", "1": "spam"})
    assert [row["label"] for row in rows] == ["ham", "spam"]
    assert output.dropped == {"label_not_in_map": 1}


@pytest.mark.parametrize("written", ["yes", "True", "on", "TRUE", "1.0", "1"])
def test_a_label_map_meets_labels_however_yaml_and_tables_spell_them(run_dataset: RunDataset, written: str) -> None:
    label_map = yaml.safe_load("{1: pos, 0: neg}" if written[0] == "1" else "{yes: pos, no: neg}")
    other = {"yes": "no", "True": "False", "on": "off", "TRUE": "FALSE", "1.0": "0.0", "1": "0"}[written]
    output, _ = run_dataset(f"text,label\na,{written}\nb,{other}\n", label_map=label_map)
    assert output.label_counts == {"pos": 1, "neg": 1}


def test_a_limit_draws_from_all_rows_and_always_the_same(run_dataset: RunDataset) -> None:
    content = "text,label\n" + "".join(f"t{n},{'ham' if n < 500 else 'spam'}\n" for n in range(1000))
    output, rows = run_dataset(content, limit=100)
    assert (output.row_count, output.dropped) == (100, {"over_limit": 900})
    assert 30 < output.label_counts["ham"] < 70
    assert [row["row"] for row in rows] == sorted(row["row"] for row in rows)
    assert run_dataset(content, limit=100)[0].rows == output.rows


def test_statistics_are_those_of_the_rows(run_dataset: RunDataset) -> None:
    content = "text,label\n" + "".join(f"{'x' * n},{n % 2}\n" for n in range(1, 101)) + "caf\ufffd,1\n"
    statistics = run_dataset(content)[0].statistics
    expected = {"rows": 101, "mean_characters": 50.0, "median_characters": 50, "p95_characters": 95}
    assert expected.items() <= statistics.items()
    assert (statistics["max_characters"], statistics["damaged_rows"], statistics["labels"]) == (100, 1, 2)
    assert statistics["files"] == [{"file": "rows.csv", "format": "csv", "encoding": "utf-8", "delimiter": ","}]


def test_of_a_folder_the_training_files_are_read_and_rows_number_on(bench: AgentBench, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train-0.csv").write_text("text,label\na,x\nb,y\n")
    (folder / "train-1.jsonl").write_text('{"label": "x", "text": "c"}\n')
    (folder / "test.csv").write_text("text,label\nz,z\n")
    (folder / "dataset_infos.json").write_text("{}")
    sources = Sources(bench.objects, (tmp_path,), tmp_path / "cache")
    output = DatasetAgent().run(DatasetConfig(source="data"), bench.context("dataset", sources=sources))
    rows = [(row["row"], row["text"], row["file"], row["split"]) for row in rows_of(bench, output)]
    trained = [(2, "a", "train-0.csv", "train"), (3, "b", "train-0.csv", "train"), (4, "c", "train-1.jsonl", "train")]
    assert rows == [*trained, (6, "z", "test.csv", "test")]
    assert output.statistics["splits"] == {"train": 3, "test": 1}
    assert list(output.statistics["left_out"]) == ["dataset_infos.json"]


BAD_SOURCES: dict[str, tuple[str, dict[str, Any], str]] = {
    "header.csv": ("text,label\n", {}, "'header.csv' holds no rows."),
    "columns.csv": ("a,b,c\n1x,2x,3x\n", {}, "'columns.csv' has no column that is known to be the text; it has: 'a'"),
    "named.csv": (
        "text,label\na,b\n",
        {"text_column": "txt"},
        "'named.csv' has no column 'txt'; it has: 'text', 'label'.",
    ),
    "plain.txt": (
        "one line\nanother one\n",
        {},
        "'plain.txt' has one column only, 'text': texts without labels or answers.",
    ),
    "one_label.csv": (
        "text,label\na,x\nb,x\n",
        {},
        "All 2 rows of 'one_label.csv' have the label 'x' (column 'label')",
    ),
    "bare.csv": ("text,label\na,\nb, \n", {}, "'bare.csv' has no usable row"),
    "map.csv": ("text,label\na,x\nb,y\n", {"label_map": {"z": "Z"}}, "'map.csv' has no usable row with text in 'text'"),
    "lines.jsonl": ('{"text": "a"}\n{"text": \n', {}, "'lines.jsonl' has one column only, 'text'"),
    "twice.jsonl": (
        '{"text": "a", "label": "x", "text": "b"}\n{"text": "c", "label": "y"}\n',
        {},
        "'twice.jsonl', line 1: the key 'text' is there twice; 1 of 2 lines can't be read.",
    ),
    "answers.jsonl": (
        '{"prompt": "a", "completion": ""}\n{"text": "b", "label": "x"}\n',
        {},
        "'answers.jsonl' has no usable row of the shape 'prompt_completion'",
    ),
    "list.jsonl": ('"a"\n"b"\n', {}, "'list.jsonl', line 1: a string, not an object; 2 of 2 lines can't be read."),
    "labels.csv": (
        "text,intent,category\n" + "".join(f"Where is parcel {n}?,{'ab'[n % 2]},{'xyz'[n % 3]}\n" for n in range(9)),
        {},
        "'labels.csv' has several columns that may be the label: 'category' (such as 'x'), 'intent' (such as 'a').",
    ),
    "pairs.csv": (
        "premise,hypothesis,label\n" + "".join(f"It rains {n},It is wet {n},{'ab'[n % 2]}\n" for n in range(9)),
        {},
        "'pairs.csv' has several columns that may be the text: ",
    ),
    "same.csv": (
        "text,label\na,x\nb,y\n",
        {"text_column": "text", "label_column": "text"},
        "`text_column` and `label_column` of 'same.csv' are the same column, 'text'.",
    ),
    "ner.conll": ("Anna\tB-person\nlives\tO\nin\tO\nOslo\tB-place\n", {}, "'ner.conll' has token labels: "),
    "tokens.jsonl": ('{"tokens": ["Anna", "lives"], "ner_tags": [1, 0]}\n', {}, "'tokens.jsonl' has token labels: "),
    "cells.csv": (
        "text,label\na,x\nb,x,more\n",
        {},
        "'cells.csv', line 3: 3 cells where there are 2 columns; 1 of 2 lines",
    ),
}


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_a_source_that_can_not_be_used_is_refused_as_the_docs_say(run_dataset: RunDataset, name: str) -> None:
    content, options, message = BAD_SOURCES[name]
    with pytest.raises(InvalidData) as raised:
        run_dataset(content, name, **options)
    assert raised.value.message.startswith(message)
    assert str(raised.value) in DATA_PAGE
    assert not raised.value.retryable


LABELLED = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(4)]
ASKED = [{"prompt": f"what is {n}?", "completion": f"it is {n}"} for n in range(3)]
UCI_LINES = 'ham\tShe said "wait\nspam\tWin "" now\nham\t"Odd\nspam\tFree\n'
ODD_FILES: dict[str, bytes] = {
    "SMSSpamCollection": UCI_LINES.encode(),
    "spam.csv": "v1,v2,,,\nham,Ok £5,,,\nspam,Win,,,\n".encode("cp1252"),
    "semicolon.csv": "\ufefftext;label\na, b;x\nc;y\n".encode(),
    "utf16.csv": "text,label\ncaf\u00e9,x\nb,y\n".encode("utf-16"),
    "utf16_bare.csv": "text,label\ncafe one,x\nb two,y\n".encode("utf-16-le"),
    "damaged.csv": "text,label\ncaf\u00e9 \u20ac5 na\u00efve,x\n".encode() + b"caf\xe9,y\n",
    "replaced.csv": "text,label\ncaf\ufffd,x\nb,y\n".encode(),
    "packed.jsonl.gz": gzip.compress("".join(json.dumps(row) + "\n" for row in LABELLED).encode()),
    "blanks.csv": b"text,label\n\na,x\n  \n\nb,y\n\n",
    "columns_twice.csv": b"text,text,label\na,other,x\nb,other,y\n",
    "mixed.jsonl": "".join(json.dumps(row) + "\n" for row in [*ASKED, *LABELLED]).encode(),
    "few_broken.jsonl": ("".join(json.dumps(row) + "\n" for row in LABELLED * 30) + "oops\n").encode(),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_an_odd_file_is_read_as_the_docs_say(run_dataset: RunDataset, name: str) -> None:
    output, _ = run_dataset(ODD_FILES[name], name)
    file = output.statistics["files"][0]
    how = ", ".join(str(file[key]).replace("|", "\\|") for key in ("format", "encoding"))
    columns = f"`{output.text_column}`, `{output.label_column}`"
    left_out = ", ".join(f"{count} x {reason}" for reason, count in sorted(output.dropped.items())) or "none"
    damaged = f"; {output.statistics['damaged_rows']} damaged" if output.statistics["damaged_rows"] else ""
    line = f"| {how} | {output.shape}: {columns} | {output.row_count}{damaged} | {left_out} |"
    documented = [found for found in DATA_PAGE.splitlines() if found.startswith(f"| `{name}` |")]
    assert documented, f"| `{name}` | {line}"
    assert documented[0].endswith(line)


def test_the_cache_key_changes_with_the_rows(bench: AgentBench, tmp_path: Path) -> None:
    sources = Sources(bench.objects, (tmp_path,), tmp_path / "cache")
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,b\n")
    before = DatasetAgent().cache_inputs(DatasetConfig(source="rows.csv"), sources)
    path.write_text("text,label\na,c\n")
    assert DatasetAgent().cache_inputs(DatasetConfig(source="rows.csv"), sources) != before


@pytest.mark.parametrize("fault", [{"limit": "2"}, {"limit": 0}, {"format": "xls"}, {"sorce": "x"}])
def test_a_config_with_a_fault_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DatasetConfig.model_validate({"source": "rows.csv", **fault})


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the public corpora are absent")
def test_every_shape_of_the_sms_corpus_gives_the_same_rows(run_dataset: RunDataset) -> None:
    lines = (SHARED_DATA / "sms_spam" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    texts = [row["text"] for row in rows]
    bare = "".join(f"{row['label']}\t{row['text']}\r\n" for row in rows)
    output, found = run_dataset(bare, "SMSSpamCollection")
    assert [row["text"] for row in found] == texts
    assert output.dropped == {}
    assert output.label_counts == {"ham": 3602, "spam": 503}
    quoted = "v1,v2,,,\r\n" + "".join('{},"{}",,,\r\n'.format(r["label"], r["text"].replace('"', '""')) for r in rows)
    _, found = run_dataset(quoted.encode("cp1252", "replace"), "spam.csv")
    assert [row["text"] for row in found] == [text.encode("cp1252", "replace").decode("cp1252") for text in texts]
