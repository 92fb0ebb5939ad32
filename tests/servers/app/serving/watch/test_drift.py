"""Drift from one end to the other: evaluation makes the reference, the manifest carries it, serving compares."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig
from agents.export import ExportAgent
from agents.export.types import ExportConfig
from app.serving.main import create_app
from app.wiring import Parts
from tests.conftest import AgentBench
from tests.support.models import TEXTS, preprocessing_output, training_output, write_adapter


@pytest.fixture
def exported(parts: Parts, bench: AgentBench, small_model: Path) -> Parts:
    """A champion `spam`, judged and exported by the agents, that says spam to everything."""
    rows = preprocessing_output(bench.objects, small_model, bench.work_dir / "rows")
    adapter = write_adapter(bench.work_dir / "adapter", small_model, spam_bias=50.0)
    inputs: dict[str, Any] = {"preprocessing": rows, "training": training_output(bench.objects, small_model, adapter)}
    judged = EvaluationAgent().run(EvaluationConfig(minimum=0.1), bench.context("evaluation", inputs))
    context = bench.context("export", {"preprocessing": rows, "evaluation": judged}, version=1)
    ExportAgent().run(ExportConfig(formats=["merged"]), context)
    parts.registry.rebuild()
    parts.registry.promote("spam", 1, at=1.0, reason="test")
    return parts


def ask(client: httpx.Client, texts: list[str]) -> None:
    assert client.post("/predict/spam/batch", json={"texts": texts}).status_code == 200


def test_what_lies_like_the_test_split_is_no_drift_and_other_lengths_are(exported: Parts, tmp_path: Path) -> None:
    app = create_app(exported.registry, exported.objects, exported.settings, look_every_s=3600)
    app.state.serving.reconciler.follow()
    with TestClient(app) as client:
        ask(client, TEXTS)
        (few,) = client.get("/drift").json()["models"]
        ask(client, TEXTS * 3)
        (alike,) = client.get("/drift").json()["models"]
        ask(client, [f"{text} and so on and so on" for text in TEXTS * 20])
        (longer,) = client.get("/drift").json()["models"]
        metrics = client.get("/metrics").text

    assert (few["model"], few["version"], few["window"], few["reference_rows"], few["signals"]) == (
        "spam",
        1,
        40,
        40,
        {},
    )
    assert {name: signal["drift"] for name, signal in alike["signals"].items()} == dict.fromkeys(
        ("labels", "confidence", "length"), "none"
    )
    assert (longer["signals"]["length"]["drift"], longer["signals"]["labels"]["drift"]) == ("much", "none")
    assert f'signal="length",version="1"}} {longer["signals"]["length"]["psi"]}' in metrics
