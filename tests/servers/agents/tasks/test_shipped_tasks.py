"""The shipped tasks beside classification and sft, each from rows to a served answer."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agents.base.records import Output
from agents.comparison import ComparisonAgent
from agents.comparison.types import ComparisonConfig
from agents.dataset import DatasetAgent
from agents.dataset.types import DatasetConfig
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig
from agents.export import ExportAgent
from agents.export.types import ExportConfig
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.types import PreprocessingConfig
from agents.tasks import find_task
from agents.training import TrainingAgent
from agents.training.types import TrainingConfig
from agents.validation import ValidationAgent
from agents.validation.types import ValidationConfig
from app.serving.main import create_app
from app.wiring import Parts
from tests.conftest import AgentBench
from tests.support.planned import PLANNED_EXPORT

pytestmark = pytest.mark.slow

THINGS = ("lamp", "door", "wall", "roof", "chair", "table")
GRADES = {"awful": 100.0, "poor": 125.5, "fine": 150.0, "good": 175.25, "superb": 200.0}
ASPECTS = {"late": "delivery", "poor": "damage", "thanks": "praise"}


def numbered() -> list[dict[str, Any]]:
    """Return texts with prices, whose first word says how high they are."""
    return [
        {"text": f"{word} {thing} number {number}", "label": value}
        for number in range(6)
        for thing in THINGS
        for word, value in GRADES.items()
    ]


def labelled() -> list[dict[str, Any]]:
    """Return texts with none to three labels, each for a word that is in them."""
    sets = [[word for place, word in enumerate(ASPECTS) if bits >> place & 1] for bits in range(8)]
    return [
        {"text": f"the {thing} number {number} {' '.join(words)}", "labels": [ASPECTS[word] for word in words]}
        for number in range(4)
        for thing in THINGS
        for words in sets
    ]


def plain() -> list[dict[str, Any]]:
    """Return texts of two sentences that go on alike."""
    return [
        {"text": f"The {thing} number {number} stands in the hall. It was painted red in spring.\n\nNobody sits there."}
        for number in range(10)
        for thing in THINGS
    ]


@dataclass(frozen=True)
class Case:
    """A task, rows that a small model learns in seconds, and what to learn them by."""

    task: str
    rows: Callable[[], list[dict[str, Any]]]
    model: str
    training: Mapping[str, Any]
    formats: tuple[str, ...]
    minimum: float
    baselines: set[str]
    preprocessing: Mapping[str, Any] = field(default_factory=dict)


ENCODER = {"epochs": 10, "learning_rate": 1e-2, "batch_size": 16}
CASES = [
    Case(
        "regression",
        numbered,
        "small_model",
        ENCODER,
        ("adapter", "onnx_int8"),
        0.8,
        {"mean", "tfidf"},
    ),
    Case(
        "multi_label",
        labelled,
        "small_model",
        # Until it is sure: where probabilities lie at a threshold, small differences of a format turn answers.
        {**ENCODER, "epochs": 40, "learning_rate": 5e-3},
        ("adapter", "onnx"),
        0.6,
        {"frequency", "tfidf"},
    ),
    Case(
        "pretraining",
        plain,
        "tiny_decoder",
        {"epochs": 8, "learning_rate": 1e-2, "batch_size": 8, "packing": True},
        ("adapter", "merged"),
        0.1,
        {"base"},
        {"max_tokens": 16, "split": {"train": 0.6, "validation": 0.1, "test": 0.3}},
    ),
]


@pytest.fixture(params=CASES, ids=lambda case: case.task)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def model(case: Case, request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(case.model))


def prepared(case: Case, bench: AgentBench, model: str, file: Path) -> dict[str, Output]:
    """Return what the agents before training say."""
    file.write_text("".join(json.dumps(row) + "\n" for row in case.rows()))
    found: dict[str, Output] = {}
    dataset = DatasetConfig(source=str(file), task=case.task)
    found["dataset"] = DatasetAgent().run(dataset, bench.context("dataset", {}))
    found["validation"] = ValidationAgent().run(ValidationConfig(task=case.task), bench.context("validation", found))
    settings = {"max_tokens": 16, "dedup": "exact", **case.preprocessing}
    config = PreprocessingConfig(task=case.task, model=model, **settings)
    found["preprocessing"] = PreprocessingAgent().run(config, bench.context("preprocessing", found))
    return found


def trained(case: Case, bench: AgentBench, model: str, found: dict[str, Output], **more: Any) -> None:
    config = TrainingConfig(task=case.task, model=model, **{**case.training, **more})
    found["training"] = TrainingAgent().run(config, bench.context("training", found))


def test_it_goes_from_rows_to_a_served_answer(
    case: Case, model: str, bench: AgentBench, parts: Parts, tmp_path: Path
) -> None:
    bench.objects, bench.roots = parts.objects, (*bench.roots, tmp_path)
    task = find_task(case.task)
    found = prepared(case, bench, model, tmp_path / "rows.jsonl")
    trained(case, bench, model, found)
    judged = EvaluationAgent().run(EvaluationConfig(minimum=case.minimum), bench.context("evaluation", found))
    found["evaluation"] = judged
    compared = ComparisonAgent().run(ComparisonConfig(), bench.context("comparison", found))
    found["comparison"] = compared
    version = parts.registry.reserve("own", "job_test", PLANNED_EXPORT)
    context = bench.context("export", found, pipeline="own", version=version)
    exported = ExportAgent().run(ExportConfig(model_name="own", formats=list(case.formats)), context)

    assert (judged.metric, judged.verdict) == (task.metrics[0], "PROMOTE"), judged.reasons
    bounds = {judged.metric: judged.metric_interval, **judged.intervals}
    assert set(bounds) == set(task.intervals)
    assert all(low <= judged.metrics[name] <= high for name, (low, high) in bounds.items()), bounds
    assert set(compared.compared) == case.baselines
    assert set(exported.parity) >= set(case.formats) - {"adapter"}
    parts.registry.rebuild()
    parts.registry.promote("own", version, at=1.0, reason="test", force=True)
    manifest = parts.registry.manifest("own", version)
    card = parts.objects.get_artifact(manifest.card).decode()
    assert task.does.partition("{")[0] in card
    app = create_app(parts.registry, parts.objects, parts.settings, look_every_s=3600)
    app.state.serving.reconciler.follow()
    with TestClient(app) as serving:
        ANSWERS[case.task](serving)


def regression_answers(serving: TestClient) -> None:
    low, high = (
        serving.post("/predict/own", json={"text": f"{word} lamp number 3"}).json() for word in ("awful", "superb")
    )
    assert 90 < low["value"] < 130 < 170 < high["value"] < 210
    assert high["scores"] == {"value": high["value"]}
    assert float(high["label"]) == pytest.approx(high["value"], rel=1e-4)
    assert high["confidence"] == 0
    assert "labels" not in high
    assert 'label="value"' in serving.get("/metrics").text


def multi_label_answers(serving: TestClient) -> None:
    texts = ["the lamp number 3 late thanks", "the roof number 9"]
    both, none = serving.post("/predict/own/batch", json={"texts": texts}).json()["predictions"]
    assert (both["labels"], none["labels"]) == (["delivery", "praise"], [])
    assert (both["label"], none["label"]) == ("delivery, praise", "")
    assert both["confidence"] == min(both["scores"][label] for label in both["labels"])
    assert "value" not in both


def pretraining_answers(serving: TestClient) -> None:
    asked = {"model": "own", "prompt": "The lamp number 3 stands in the", "max_tokens": 4}
    assert serving.post("/v1/completions", json=asked).json()["choices"][0]["text"].strip().startswith("hall")


ANSWERS = {"regression": regression_answers, "multi_label": multi_label_answers, "pretraining": pretraining_answers}


@pytest.mark.parametrize("method", ["full", "qlora"])
def test_it_learns_by_every_method(case: Case, model: str, method: str, bench: AgentBench, tmp_path: Path) -> None:
    bench.roots = (*bench.roots, tmp_path)
    found = prepared(case, bench, model, tmp_path / "rows.jsonl")
    # All weights at once leave a good place at a rate that suits an adapter.
    gentler = {"learning_rate": case.training["learning_rate"] / 2} if method == "full" else {}
    trained(case, bench, model, found, method=method, **gentler)
    judged = EvaluationAgent().run(EvaluationConfig(minimum=case.minimum), bench.context("evaluation", found))
    assert judged.metrics[judged.metric] >= case.minimum
