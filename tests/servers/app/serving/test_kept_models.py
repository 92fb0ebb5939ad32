"""Versions and checkpoints of an earlier release: listed, served, compared with and taken up again by this one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from agents.evaluation import EvaluationAgent, EvaluationConfig
from agents.formats.manifest import SCHEMA
from agents.preprocessing.types import PreprocessingOutput
from agents.training import TrainingAgent, TrainingConfig
from agents.training.types import TrainingOutput
from app.api.main import create_app as create_api
from app.serving.main import create_app as create_serving
from app.wiring import Parts
from tests.conftest import AgentBench
from tests.golden.pipelines import one_cpu_thread
from tests.kept.dumps import put_objects, read_json, unpack

MODELS = ("spam", "colors")
#: Model -> the task that it was trained for.
TASKS = {"spam": "classification", "colors": "sft"}


def manifest_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(f"versions/{name}-2.json")
    return found


@pytest.fixture
def kept(parts: Parts, tmp_path: Path) -> Parts:
    """Both versions in the registry, and their base models below a root of sources."""
    unpack("bases.tar.gz", tmp_path)
    put_objects(parts.objects, "versions/objects.tar.gz")
    for name in MODELS:
        parts.objects.put_manifest(f"models/{name}/versions/000002/manifest.json", manifest_of(name))
    parts.registry.rebuild()
    return parts


@pytest.fixture
def api(kept: Parts) -> Iterator[httpx.Client]:
    with TestClient(create_api(kept), raise_server_exceptions=False) as client:
        yield client


def holds(found: Any, written: Any) -> bool:
    """Say whether a value has all that was written; records may have gained fields."""
    if isinstance(written, dict) and isinstance(found, dict):
        return all(key in found and holds(found[key], value) for key, value in written.items())
    return bool(found == written)


@pytest.mark.parametrize("name", MODELS)
def test_the_api_shows_a_version_with_all_that_its_manifest_says(api: httpx.Client, name: str) -> None:
    manifest = manifest_of(name)
    model = api.get(f"/models/{name}").json()
    version = api.get(f"/models/{name}/champion").json()
    (summary,) = model["versions"]

    # The shape is the present one; all that was written is in it.
    assert version["schema"] == SCHEMA
    assert holds(version, {**manifest, "schema": SCHEMA})
    assert (model["aliases"], len(model["history"])) == ({"champion": 2}, 2)
    assert (summary["version"], summary["verdict"]) == (2, "PROMOTE")
    assert (summary["metrics"], summary["formats"]) == (manifest["metrics"], sorted(manifest["formats"]))
    assert summary["created_at"] == manifest["created_at"]


@pytest.mark.parametrize("name", MODELS)
def test_the_api_gives_its_card_and_files(api: httpx.Client, name: str) -> None:
    assert api.get(f"/models/{name}/2/card").text.startswith("---\nbase_model:")
    for form, written in manifest_of(name)["formats"].items():
        listed = api.get(f"/models/{name}/2/files", params={"format": form}).json()["files"]
        digests = {file["path"]: file["artifact"]["sha256"] for file in written}
        assert {file["path"]: file["sha256"] for file in listed} == digests


def test_it_can_be_promoted_and_deleted_as_any_other(api: httpx.Client, kept: Parts) -> None:
    manifest = {**manifest_of("spam"), "version": 3, "judged_against": 2}
    kept.objects.put_manifest("models/spam/versions/000003/manifest.json", manifest)
    kept.registry.rebuild()
    promoted = api.post("/models/spam/promote", json={"version": 3, "reason": "better"})

    assert promoted.status_code == 200, promoted.text
    assert api.get("/models/spam").json()["aliases"] == {"champion": 3, "previous": 2}
    assert api.post("/models/spam/rollback", json={}).status_code == 200
    assert api.request("DELETE", "/models/spam/2", json={}).status_code == 409


@pytest.mark.parametrize("form", ["merged", "adapter", "onnx", "onnx_int8"])
def test_serving_answers_with_a_classifier_as_it_did(kept: Parts, form: str) -> None:
    settings = kept.settings.model_copy(update={"serving_format": form})
    recorded = read_json("versions/answers.json")["spam"]
    app = create_serving(kept.registry, kept.objects, settings, look_every_s=3600)
    app.state.serving.reconciler.follow()
    with TestClient(app) as client:
        answers = client.post("/predict/spam/batch", json={"texts": list(recorded)}).json()["predictions"]

    for answer, scores in zip(answers, recorded.values(), strict=True):
        assert answer["version"] == 2
        assert answer["scores"] == pytest.approx(scores, abs=0.02 if form == "onnx_int8" else 1e-5)


def test_serving_asks_a_decoder_as_it_did(kept: Parts) -> None:
    recorded = read_json("versions/answers.json")["colors"]
    app = create_serving(kept.registry, kept.objects, kept.settings, look_every_s=3600)
    app.state.serving.reconciler.follow()
    with TestClient(app) as client:
        asked = {"model": "colors", "messages": recorded["messages"], "max_tokens": 1, "temperature": 0}
        answer = client.post("/v1/chat/completions", json=asked)

    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["prompt_tokens"] == recorded["prompt_tokens"]


@pytest.mark.parametrize("name", MODELS)
def test_a_training_goes_on_from_its_checkpoint_and_is_judged_beside_a_champion(
    kept: Parts, name: str, tmp_path: Path
) -> None:
    record = read_json(f"checkpoints/{TASKS[name]}.json")
    put_objects(kept.objects, f"checkpoints/{TASKS[name]}.tar.gz")
    bench = AgentBench(kept.objects, tmp_path / "work", (tmp_path,))
    data = PreprocessingOutput.model_validate(record["preprocessing"])
    with one_cpu_thread():
        training = resumed(bench, data, record)
        context = bench.context("evaluation", {"preprocessing": data, "training": training}, champion=manifest_of(name))
        evaluation = EvaluationAgent().run(EvaluationConfig(minimum=0.0, model_name=name), context)

    losses = {entry["step"]: entry["loss"] for entry in bench.objects.get_json(training.curve) if "loss" in entry}
    assert losses == pytest.approx(dict(record["losses"]), rel=1e-5, abs=1e-5)
    assert training.metrics["validation_loss"] == pytest.approx(record["validation_loss"], rel=1e-5, abs=1e-5)
    assert evaluation.champion_version == 2
    assert evaluation.champion_metrics is not None
    assert evaluation.champion_metrics.keys() == evaluation.metrics.keys()


def resumed(bench: AgentBench, data: PreprocessingOutput, record: dict[str, Any]) -> TrainingOutput:
    """Take a kept training up again; see that it began where it was paused."""
    context = bench.context(
        "training",
        {"preprocessing": data},
        attempt=2,
        checkpoint_prefixes=("checkpoints/new/training", record["prefix"]),
        work_path=bench.work_dir / "training",
    )
    output = TrainingAgent().run(TrainingConfig(**record["config"]), context)
    (found,) = [one["fields"] for one in bench.records if one.get("event") == "resumed"]
    assert found["step"] == record["paused_at"]
    return output
