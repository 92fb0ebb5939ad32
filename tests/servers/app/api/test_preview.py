"""Previews: rows as they are read and rendered; what is shown is what the agents do."""

import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from agents.dataset import DatasetAgent
from agents.dataset.types import DatasetConfig, DatasetOutput
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.types import PreprocessingConfig
from app.api.main import create_app
from app.cli import common
from app.cli.commands import app as commands
from app.client import Client
from app.wiring import Parts, build_parts
from tests.conftest import MINILM, AgentBench
from tests.support.archives import zip_of
from tests.support.decoders import SMOLLM2, color_rows
from tests.support.workbooks import workbook


@pytest.fixture
def api(parts: Parts) -> Iterator[TestClient]:
    with TestClient(create_app(parts)) as client:
        yield client


def preview(api: TestClient, content: str | bytes, name: str = "rows.csv", **options: Any) -> dict[str, Any]:
    dataset = api.post("/datasets", files={"file": (name, content)}).json()
    answer: dict[str, Any] = api.get(f"/datasets/{dataset['id']}/preview", params=options).json()
    return answer


def test_rows_are_shown_as_read_with_what_was_found_out(api: TestClient) -> None:
    content = "Category;Message\nham;caf\u00e9 at two\nspam;win now\n;nobody knows\n"
    found = preview(api, content.encode("cp1252"), rows=1)
    assert found["files"] == [{"file": "rows.csv", "format": "csv", "encoding": "cp1252", "delimiter": ";"}]
    why = "'Message' is the text by its name; 'Category' is the label by its name."
    assert found["used"] == {"shape": "text_label", "text_column": "Message", "label_column": "Category", "why": why}
    assert found["columns"] == ["Category", "Message"]
    assert (found["rows_scanned"], found["whole_file"], found["dropped"]) == (3, True, {"missing_label": 1})
    assert found["rows"] == [{"row": 2, "text": "caf\u00e9 at two", "label": "ham"}]
    assert (found["label_counts"], found["problems"]) == ({"ham": 1, "spam": 1}, [])
    assert found["rendered"] is None
    assert "Name a `model`" in found["rendered_note"]


def test_what_is_not_used_and_preference_data_are_shown(api: TestClient) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]
    turns += [{"role": "user", "content": "a"}, {"role": "assistant", "content": "c", "mood": "calm"}]
    tools = [{"type": "function", "function": {"name": "lamp"}}]
    found = preview(api, json.dumps({"messages": turns, "tools": tools, "rank": 3}), "rows.jsonl")
    assert (found["unused_fields"], found["unlearned"]) == ({"messages.mood": 1, "rank": 1}, {"marked_unlearned": 1})
    assert (found["rows"][0]["tools"], found["rows"][0]["messages"][1]["learned"]) == (tools, False)
    found = preview(api, json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}), "pairs.jsonl")
    assert found["used"]["shape"] == "preference"
    assert found["rows"][0]["rejected"][-1] == {"role": "assistant", "content": "c"}
    assert "the columns 'chosen' and 'rejected' beside 'prompt'. Set `shape: prompt_completion`" in found["preference"]


def test_parts_of_a_file_are_shown_with_their_splits_and_what_is_left_out(api: TestClient) -> None:
    sheets = {
        "Notes": [],
        "Test": [["text", "label"], ["t", "x"]],
        "Train": [["text", "label"], ["a", "x"], ["b", "y"]],
    }
    for name, content in (("book.xlsx", workbook(sheets)), ("book.zip", zip_of({"book.xlsx": workbook(sheets)}))):
        found = preview(api, content, name)
        assert found["files"][0]["parts"] == {"Train": "train", "Test": "test"}
        assert list(found["left_out"].values()) == ["it holds no rows"]
        assert [(row["text"], row["split"]) for row in found["rows"]] == [("a", "train"), ("b", "train"), ("t", "test")]
        assert [row["text"] for row in preview(api, content, name, part="Test")["rows"]] == ["t"]
    for name in ("first.csv", "second.csv"):
        assert len(preview(api, "text,label\na,x\nb,y\n", name)["rows"]) == 2


def test_only_the_first_thousand_rows_are_counted(api: TestClient) -> None:
    found = preview(api, "text,label\n" + "".join(f"t{n},{n % 2}\n" for n in range(3000)))
    assert (found["rows_scanned"], found["whole_file"]) == (1000, False)
    assert len(found["rows"]) == 5


def test_what_would_stop_the_job_is_said(api: TestClient) -> None:
    assert "there is nothing to learn" in preview(api, "text,label\na,x\nb,x\n")["problems"][0]
    answer = preview(api, "a,b,c\n1,2,3\n4,5,6\n", text_column="txt")
    assert (answer["error"], "no column 'txt'" in answer["message"]) == ("INVALID_DATA", True)
    assert api.get("/datasets/0123456789abcdef/preview").status_code == 404


def test_texts_with_labels_are_shown_as_tokens_and_cut_where_training_cuts(api: TestClient) -> None:
    found = preview(api, f"text,label\nWin   a PRIZE,spam\n{'word ' * 20},ham\n", model=MINILM, max_tokens=8)
    first, second = found["rendered"]["rows"]
    assert first["tokens"] == ["[CLS]", "win", "a", "prize", "[SEP]"]
    assert (first["learned"], first["cut_tokens"]) == ("spam", 0)
    assert (second["token_count"], second["cut_tokens"], len(second["tokens"])) == (22, 14, 8)


def test_conversations_are_shown_with_the_tokens_that_carry_loss_as_preprocessing_makes_them(
    api: TestClient, bench: AgentBench, tiny_decoder: Path
) -> None:
    content = "".join(json.dumps(row) + "\n" for row in color_rows(40))
    options = {"model": str(tiny_decoder), "template": "chatml", "shape": "input_output", "rows": 3}
    found = preview(api, content, "rows.jsonl", **options)
    first = found["rendered"]["rows"][0]
    assert first["learned"] == '{"color": "red"}<|im_end|>'
    assert "".join(first["tokens"]) == first["rendered"]
    assert first["rendered"].startswith("<|im_start|>user\npaint the lamp number 0 red please<|im_end|>")
    bench.work_dir.mkdir(parents=True)
    source = bench.work_dir / "colors.jsonl"
    source.write_text(content)
    dataset = DatasetAgent().run(DatasetConfig(source=str(source), shape="input_output"), bench.context("dataset"))
    masks = prepared_masks(bench, dataset, tiny_decoder)
    assert all(masks.get(row["row"], row["carries_loss"]) == row["carries_loss"] for row in found["rendered"]["rows"])
    assert masks.keys() & {row["row"] for row in found["rendered"]["rows"]}


def parquet(cells: list[str], **options: Any) -> bytes:
    import pyarrow
    import pyarrow.parquet

    out, labels = io.BytesIO(), ["x", "y"] * (len(cells) // 2)
    pyarrow.parquet.write_table(pyarrow.table({"text": cells, "label": labels}), out, compression="zstd", **options)
    return out.getvalue()


BOMBS: dict[str, tuple[str, Callable[[], str | bytes], str]] = {
    "cells of a packed page": ("r.parquet", lambda: parquet(["a" * (1 << 20)] * 800, use_dictionary=False), "1024 MiB"),
    "packed lists": ("r.json.gz", lambda: gzip.compress(b"[" + b"[]," * 20_000_000 + b"[]]"), "MiB of memory as one"),
    "packed objects": ("r.json.gz", lambda: gzip.compress(b"[" + b"{}," * 20_000_000 + b"{}]"), "MiB of memory as one"),
    "packed rows": ("r.csv.gz", lambda: gzip.compress(b"text,label\n" + b"a,b\n" * 30_000_000), "unpacks to more"),
    "commas": ("r.csv", lambda: "," * 130_000, "has 130,001 columns"),
    "commas of a packed file": ("r.csv.gz", lambda: gzip.compress(b"," * 50_000_000), "line 1 is longer"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_is_a_bomb_is_refused_by_a_sentence(api: TestClient, name: str) -> None:
    filename, make, said = BOMBS[name]
    answer = preview(api, make(), filename)
    assert (answer["error"], said in answer["message"]) == ("INVALID_DATA", True), answer
    assert filename in answer["message"]


@pytest.mark.parametrize("cell_mib", [1, 4])
def test_of_large_cells_a_few_are_looked_at(api: TestClient, cell_mib: int) -> None:
    content = parquet(["a" * (cell_mib << 20)] * (800 // cell_mib))
    assert len(content) < 10_000
    found = preview(api, content, "r.parquet")
    assert (found["whole_file"], len(found["rows"])) == (False, 5), found
    assert found["rows_scanned"] < 100


@pytest.mark.parametrize("encoding", ["punycode", "undefined", "idna", "hex", "\0", "utf-8\0", "x" * 6000, "utf-16"])
def test_an_encoding_that_does_not_fit_is_refused(api: TestClient, encoding: str) -> None:
    answer = preview(api, "text,label\na,b\nc,d\n", encoding=encoding)
    assert answer["error"] in {"INVALID_DATA", "INVALID_REQUEST"}
    assert "encoding" in answer["message"] or "The query is not valid" in answer["message"], answer


@pytest.mark.parametrize("model", ["\0", "a\0b", "m" * 6000, "hf://\0/x", "/" + "a/" * 3000, "dataset://" + "a" * 300])
def test_a_model_that_is_no_place_is_refused(api: TestClient, model: str) -> None:
    answer = preview(api, "text,label\na,b\nc,d\n", model=model)
    assert answer["error"] in {"INVALID_MODEL", "NOT_ALLOWED", "NOT_FOUND", "INVALID_REQUEST"}, answer


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' | center(150000000) }}",
        "{{ 'a' * 2000000000 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}aaaaaaaa{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ messages[0].content.__class__ }}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_template_that_is_a_bomb_ends_with_a_sentence(
    parts: Parts, tiny_decoder: Path, tmp_path: Path, template: str
) -> None:
    model = shutil.copytree(tiny_decoder, tmp_path / "model")
    (model / "chat_template.jinja").write_text(template)
    quick = build_parts(parts.settings.model_copy(update={"preview_timeout_s": 10.0}))
    with closing(quick.connection), TestClient(create_app(quick)) as api:
        answer = preview(api, '{"prompt": "a", "completion": "b"}\n', "r.jsonl", model=str(model), template="tokenizer")
        assert answer["error"] in {"INVALID_DATA", "INVALID_MODEL"}, answer
        assert "went wrong" not in answer["message"]
        assert preview(api, "text,label\na,b\nc,d\n")["problems"] == []


def test_long_cells_are_cut_and_halves_of_characters_replaced(api: TestClient) -> None:
    rows = [{"text": "t" * 100_000, "label": n, "list": ["x"] * 9000, "half \ud800": "\udc00"} for n in "ab"]
    found = preview(api, "".join(json.dumps(row) + "\n" for row in rows), "r.jsonl")
    first = found["rows"][0]
    assert (len(first["text"]), first["text"][-1]) == (4001, "\u2026")
    assert (len(first["list"]), first["half \ufffd"]) == (4001, "\ufffd")


def test_an_answer_that_would_be_too_large_names_the_cure(api: TestClient) -> None:
    wide = [{f"column {place}": "x" * 100 for place in range(3000)} | {"text": n, "label": n} for n in "ab" * 50]
    content = "".join(json.dumps(row) + "\n" for row in wide)
    answer = preview(api, content, "wide.jsonl", rows=100)
    assert "gives an answer of more than 8 MiB. Ask for fewer rows" in answer["message"]
    assert len(preview(api, content, "wide.jsonl", rows=1)["rows"]) == 1


def prepared_masks(bench: AgentBench, dataset: DatasetOutput, model: Path) -> dict[int, list[bool]]:
    import io

    import pyarrow.parquet

    config = PreprocessingConfig(task="sft", model=str(model), template="chatml", dedup="none")
    output = PreprocessingAgent().run(config, bench.context("preprocessing", {"dataset": dataset}))
    tables = [
        pyarrow.parquet.read_table(io.BytesIO(bench.objects.get_artifact(split.rows)))
        for split in output.splits.values()
    ]
    return {row["row"]: row["loss_mask"] for one in tables for row in one.to_pylist()}


def test_rows_without_a_token_to_learn_are_said_to_be_left_out(api: TestClient, tiny_decoder: Path) -> None:
    rows = [{"prompt": "why?", "completion": "word " * 50}] * 2
    content = "".join(json.dumps(row) + "\n" for row in rows)
    found = preview(api, content, "rows.jsonl", model=str(tiny_decoder), template="chatml", max_tokens=16)
    assert found["rendered"]["rows"][0]["left_out"] == "answer_cut_off"
    assert "None of these rows has a token to learn" in found["rendered"]["problems"][0]


def test_a_template_that_does_not_fit_the_model_is_refused(api: TestClient, tiny_decoder: Path) -> None:
    answer = preview(api, '{"prompt": "a", "completion": "b"}\n', "r.jsonl", model=str(tiny_decoder), template="llama3")
    assert answer["error"] == "INVALID_MODEL"
    assert "The template 'llama3' needs the tokens" in answer["message"]


def test_the_command_line_uploads_a_file_and_marks_what_is_learned(
    api: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in color_rows(10)))
    client = Client()
    client._api.close()
    client._api = api
    monkeypatch.setattr(common, "Client", lambda *_, **__: client)
    options = ["--model", SMOLLM2, "--template", "chatml", "--shape", "input_output"]
    result = CliRunner().invoke(commands, ["datasets", "preview", str(file), *options])
    assert result.exit_code == 0, result.output
    assert "shape input_output" in result.output
    assert 'learned: \'{"color": "red"}<|im_end|>\'' in result.output


def test_a_folder_and_whatever_a_spec_could_name_is_previewed(
    api: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "rows.csv").write_text("text;label\nhello there;a\ngood bye;b\n")
    (folder / "sorted.csv").write_bytes("text;label\n\u0432\u0441\u0451;c\n".encode("cp1251"))
    for source in (str(folder), "inbox"):
        found = api.get("/datasets/preview", params={"source": source, "encoding": "cp1251", "format": "csv"}).json()
        assert (found["source"], [one["encoding"] for one in found["files"]]) == (source, ["cp1251", "cp1251"])
        assert found["label_counts"] == {"a": 1, "b": 1, "c": 1}
    for source, error in (("/etc", "NOT_ALLOWED"), ("nowhere", "INVALID_DATA"), (".", "INVALID_REQUEST")):
        assert api.get("/datasets/preview", params={"source": source}).json()["error"] == error

    client = Client()
    client._api.close()
    client._api = api
    monkeypatch.setattr(common, "Client", lambda *_, **__: client)
    options = ["--encoding", "cp1251", "--format", "csv", "--rows", "3"]
    shown = CliRunner().invoke(commands, ["datasets", "preview", str(folder), *options])
    assert "'\u0432\u0441\u0451' -> 'c'" in shown.output
