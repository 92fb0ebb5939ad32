"""The user's own splits: kept as they are, what is near them leaves train, and only what is missing is drawn."""

import json
from dataclasses import replace

import pytest

from agents.base.errors import InvalidData
from agents.data.types import Row
from agents.dataset import DatasetAgent, DatasetConfig
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.types import PreprocessingConfig, PreprocessingOutput
from agents.validation import ValidationAgent
from agents.validation.types import ValidationConfig
from tests.conftest import AgentBench
from tests.servers.agents.preprocessing.test_preprocessing import preprocess, table
from tests.support.rows import sentences

#: So many rows of each, every other of label `a`.
TEXTS = list(sentences(80, seed=3))


def rows_of(**counts: int) -> list[Row]:
    splits = [split for split, count in counts.items() for _ in range(count)]
    return [Row(number, TEXTS[number], "ab"[number % 2], split=split) for number, split in enumerate(splits)]


def numbers(bench: AgentBench, output: PreprocessingOutput) -> dict[str, set[int]]:
    return {name: set(table(bench, split)["row"].to_pylist()) for name, split in output.splits.items()}


def test_the_sources_splits_are_kept_as_they_are(bench: AgentBench) -> None:
    output = preprocess(bench, rows_of(train=30, validation=8, test=12))
    found = numbers(bench, output)
    assert found == {"train": set(range(30)), "validation": set(range(30, 38)), "test": set(range(38, 50))}


@pytest.mark.parametrize(("missing", "given"), [("validation", "test"), ("test", "validation")])
def test_a_split_that_is_missing_is_taken_from_train_by_the_seed(bench: AgentBench, missing: str, given: str) -> None:
    rows = rows_of(train=40, **{given: 10})
    one, again, other = (numbers(bench, preprocess(bench, rows, seed=seed)) for seed in (1, 1, 2))
    assert one == again
    assert one[missing] != other[missing]
    assert one[given] == other[given] == set(range(40, 50))
    assert one["train"] | one[missing] == set(range(40))
    assert 2 <= len(one[missing]) <= 8
    assert not one["train"] & one[missing]


def test_what_is_alike_leaves_train_and_nothing_that_is_held_out(bench: AgentBench) -> None:
    rows = rows_of(train=30, validation=8, test=12)
    held, other = rows[45], rows[33]
    twins = [
        replace(held, number=100, split="train"),
        replace(held, number=101, split="train", text=held.text.upper()),
        replace(held, number=102, split="train", text=f"{held.text} so"),
        replace(held, number=103, split="train", text=f"{held.text} but", label="b" if held.label == "a" else "a"),
        replace(other, number=104, split="train", text=f"{other.text} yes"),
        replace(rows[0], number=105),
        replace(held, number=106),
    ]
    output = preprocess(bench, [*rows, *twins])
    found = numbers(bench, output)
    assert found["train"] == set(range(30))
    assert found["test"] == {*range(38, 50), 106}
    assert sum(output.dropped.values()) == 6
    assert output.leaked == 0
    kept = preprocess(bench, [*rows, *twins], dedup="none")
    assert {100, 101, 102, 103, 104, 105} <= numbers(bench, kept)["train"]
    assert kept.leaked == 2


def test_shares_with_given_false_draw_all_anew_and_given_must_be_there(bench: AgentBench) -> None:
    rows = rows_of(train=30, validation=8, test=12)
    anew = numbers(bench, preprocess(bench, rows, split={"given": False}))
    assert set().union(*anew.values()) == set(range(50))
    assert anew["test"] != set(range(38, 50))
    assert numbers(bench, preprocess(bench, rows, split="given"))["test"] == set(range(38, 50))
    with pytest.raises(InvalidData, match=r"`given`, and the source gives its rows no splits\. Name a folder"):
        preprocess(bench, [replace(row, split=None) for row in rows], split="given")


def test_labels_that_train_lacks_are_told(bench: AgentBench) -> None:
    rows = [*rows_of(train=30, validation=8, test=12), Row(70, TEXTS[70], "strange", split="test")]
    assert "strange" in preprocess(bench, rows).labels
    told = [json.dumps(one) for one in bench.records if one.get("event") == "labels_not_in_train"]
    assert len(told) == 1
    assert "strange" in told[0]


def test_a_folders_splits_go_from_its_files_to_the_splits_that_are_trained_on(bench: AgentBench) -> None:
    folder = bench.work_dir / "mine"
    folder.mkdir(parents=True)
    for name, texts in (("Train.csv", TEXTS[:40]), ("Test.csv", TEXTS[40:52])):
        lines = (f"{text} mail me at a{n}@b.org,{'ab'[n % 2]}" for n, text in enumerate(texts))
        (folder / name).write_text("\n".join(["text,label", *lines]))
    dataset = DatasetAgent().run(DatasetConfig(source=str(folder)), bench.context("dataset"))
    settings = ValidationConfig.model_validate({"pii": "mask"})
    validation = ValidationAgent().run(settings, bench.context("validation", {"dataset": dataset}))
    inputs = {"dataset": dataset, "validation": validation}
    output = PreprocessingAgent().run(PreprocessingConfig(), bench.context("preprocessing", inputs))
    tested = table(bench, output.splits["test"])["text"].to_pylist()
    assert sorted(tested) == sorted(f"{text} mail me at [EMAIL]" for text in TEXTS[40:52])
    assert output.splits["train"].row_count + output.splits["validation"].row_count == 40
