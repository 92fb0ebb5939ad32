"""Serving on real parts: tiny real models, a real registry, real HTTP through the app."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from agents.formats import Format
from agents.models.classifiers.torch import LoadedClassifier, Prediction
from agents.models.files import ModelFiles
from agents.models.kinds import ModelKind
from app.serving.main import create_app
from app.wiring import Parts
from tests.support.models import LABELS
from tests.support.served import write_version


@pytest.fixture
def serving(versions: Parts) -> Iterator[httpx.Client]:
    app = create_app(versions.registry, versions.objects, versions.settings, look_every_s=0.02)
    switched = threading.Condition()
    reconciler = app.state.serving.reconciler

    def on_switch(served: Any) -> None:
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

    assert set(answer) == {"label", "confidence", "scores", "unsure", "model", "version", "latency_ms"}
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
    parts: Parts, url: str, body: dict[str, Any]
) -> None:
    app = create_app(parts.registry, parts.objects, parts.settings)
    answer = TestClient(app).post(url, json=body)
    app.state.serving.history.close()

    assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_REQUEST")
    assert set(answer.json()) == {"error", "message", "details"}
    assert "pattern" not in answer.json()["message"]


def test_an_unknown_model_is_404_and_names_those_served(serving: httpx.Client) -> None:
    answer = serving.post("/predict/other", json={"text": "x"})

    assert answer.status_code == 404
    assert "Served: spam." in answer.json()["message"]


def test_a_switch_under_load_loses_no_request_and_happens_once(serving: httpx.Client, versions: Parts) -> None:
    stop, answered_by_new = threading.Event(), threading.Barrier(5)

    def ask() -> list[int]:
        found: list[int] = []
        while not stop.is_set():
            answer = serving.post("/predict/spam", json={"text": "hello"})
            assert answer.status_code == 200, answer.text
            assert answer.json()["label"] == {1: "spam", 2: "ham"}[answer.json()["version"]]
            if answer.json()["version"] not in found[-1:]:
                # Every client has seen this version before any goes on.
                answered_by_new.wait(30)
            found.append(answer.json()["version"])
        return found

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            answered_by_new.wait(30)
            versions.registry.promote("spam", 2, at=1.0, reason="better")
            answered_by_new.wait(30)
        finally:
            stop.set()
        for future in asking:
            found = future.result()
            assert sum(before != after for before, after in pairwise(found)) == 1
            assert (found[0], found[-1]) == (1, 2)


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


# -- requests that are under way ----------------------------------------------------------------


@dataclass(frozen=True)
class Gated(LoadedClassifier):
    """A real model whose runs, once the gate is shut, wait until it is opened."""

    entered: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def predict(self, texts: Any, batch_size: int = 64) -> list[Prediction]:
        if "stop here" in texts:
            self.entered.set()
            assert self.opened.wait(30)
        return super().predict(texts, batch_size)


def load_gated(form: Format, kind: ModelKind, files: ModelFiles) -> LoadedClassifier:
    loaded = form.load(kind, files)
    return Gated(loaded.model, loaded.tokenizer, loaded.labels, loaded.max_tokens)


def test_a_request_under_way_keeps_its_version_and_a_full_queue_is_429(versions: Parts) -> None:
    app = create_app(versions.registry, versions.objects, versions.settings, load_gated, look_every_s=3600)
    reconciler = app.state.serving.reconciler
    reconciler.follow()
    gate = reconciler.served["spam"].classifier
    large = {"texts": ["stop here", *["answered after it"] * 999]}
    with TestClient(app) as client, ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.post, "/predict/spam/batch", json=large)
        assert gate.entered.wait(30)
        refused = client.post("/predict/spam/batch", json={"texts": ["y"] * 1000})
        versions.registry.promote("spam", 2, at=1.0, reason="better")
        reconciler.follow()
        gate.opened.set()
        answers = under_way.result().json()["predictions"]
        after = client.post("/predict/spam", json={"text": "x"}).json()
        metrics = client.get("/metrics").text

    assert (refused.status_code, refused.json()["error"]) == (429, "OVERLOADED")
    assert int(refused.headers["Retry-After"]) >= 1
    assert [(answer["version"], answer["label"]) for answer in answers] == [(1, "spam")] * 1000
    assert (after["version"], after["label"]) == (2, "ham")
    assert 'tuneline_predict_requests_total{model="spam",outcome="OVERLOADED"} 1.0' in metrics


def test_models_says_what_is_served_and_health_what_is_not_yet(versions: Parts, serving: httpx.Client) -> None:
    (model,) = serving.get("/models").json()["models"]
    before = create_app(versions.registry, versions.objects, versions.settings, look_every_s=3600)
    empty = TestClient(before).get("/health").json()
    before.state.serving.history.close()

    assert {key: model[key] for key in ("name", "version", "labels", "max_tokens")} == {
        "name": "spam",
        "version": 1,
        "labels": LABELS,
        "max_tokens": 32,
    }
    assert empty == {"status": "ok", "models": {}, "troubles": {}}
