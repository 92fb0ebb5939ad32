"""A sweep through a whole stack: trainings side by side on two workers, the best by validation judged and exported."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli.jobs import print_result, read_spec
from app.client import Client
from benchmarks.promotion import stack
from tests.flow.test_promotion_under_load import write_rows
from tests.support.decoders import color_rows, write_tiny_decoder
from tests.support.prepared import write_small_model

pytestmark = pytest.mark.slow
LABELS = "training[learning_rate={},lora.r={}]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    workers = "default=1,training=2,evaluation=1,serving=0"
    with stack(folder / "state", folder, WORKERS=workers) as (found, _):
        yield found


def ended(client: Client, spec: dict[str, Any]) -> dict[str, Any]:
    """Submit a spec and return its job once it has ended."""
    job = client.submit(spec)
    assert list(client.follow(job["id"]))
    found: dict[str, Any] = client.job(job["id"])
    return found


@pytest.fixture(scope="module")
def labels(client: Client, folder: Path) -> dict[str, Any]:
    """The shipped sweep on a small model; of the rates one is too low to learn anything by."""
    spec = read_spec("sweep")
    model, rows = write_small_model(folder / "model"), write_rows(folder / "rows.jsonl")
    spec["params"] |= {"model": str(model), "data": str(rows), "minimum": 0.5}
    spec["nodes"]["training"]["config"] |= {"batch_size": 8}
    spec["nodes"]["training"]["matrix"]["learning_rate"] = [0.000001, 0.01]
    return ended(client, spec)


def test_every_combination_is_trained_and_the_best_is_exported(client: Client, labels: dict[str, Any]) -> None:
    trainings = {name: node for name, node in labels["nodes"].items() if node["agent"] == "training"}
    judged = labels["nodes"]["evaluation"]["output"]
    scores = {name: node["output"]["metrics"]["validation_f1"] for name, node in trainings.items()}

    assert labels["status"] == "completed"
    assert set(trainings) == {LABELS.format(rate, r) for rate in (1e-06, 0.01) for r in (4, 16)}
    assert (judged["chosen_by"], judged["candidates"]) == ("validation_f1", scores)
    assert judged["training_node"] in {LABELS.format(0.01, r) for r in (4, 16)}
    assert scores[judged["training_node"]] == max(scores.values())
    manifest = client.version("rows", "1")
    assert manifest["training_node"] == judged["training_node"]
    assert manifest["candidates"] == scores
    assert manifest["training"]["learning_rate"] == 0.01


def test_two_are_trained_at_the_same_time(labels: dict[str, Any]) -> None:
    trainings = [node for node in labels["nodes"].values() if node["agent"] == "training"]
    first, second, *_ = sorted(trainings, key=lambda node: node["started_at"])

    assert len({node["worker"] for node in trainings}) == 2
    assert second["started_at"] < first["ended_at"]


def test_who_watches_is_told_which_one_won(labels: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    print_result(labels)
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
    won = labels["nodes"]["evaluation"]["output"]["training_node"]

    assert f"chosen    {won} by validation_f1" in shown
    ranked = [line.partition("  ")[2] for line in shown if line[:2] in {"0.", "1."}]
    assert ranked[0] == won
    assert len(ranked) == 4


def test_a_sweep_of_a_decoder_is_decided_by_the_figure_that_its_trainings_go_by(client: Client, folder: Path) -> None:
    model, rows = write_tiny_decoder(folder / "decoder"), color_rows(60)
    spec = read_spec("task")
    spec["params"] |= {"model": str(model), "data": str(write_json_lines(folder / "colors.jsonl", rows)), "epochs": 1}
    spec["params"]["minimum"] = 0.0
    spec["nodes"]["preprocessing"]["config"] |= {"dedup": "none"}
    del spec["nodes"]["preprocessing"]["config"]["template"], spec["nodes"]["comparison"]
    spec["nodes"]["training"] |= {"matrix": {"learning_rate": [0.000001, 0.01]}}
    spec["nodes"]["training"]["config"] |= {"metric": "loss", "batch_size": 8}
    spec["nodes"]["export"] |= {"needs": ["evaluation"]}
    spec["nodes"]["export"]["config"]["formats"] = ["adapter"]
    job = ended(client, spec)
    judged = job["nodes"]["evaluation"]["output"]

    assert job["status"] == "completed"
    assert judged["training_node"] == "training[learning_rate=0.01]"
    assert judged["chosen_by"] == "validation_loss"
    assert judged["candidates"]["training[learning_rate=0.01]"] == min(judged["candidates"].values())
    assert client.version("colors", "1")["training"]["learning_rate"] == 0.01


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
