"""The answer cache on a real Redis: repeated texts, other versions, and a Redis that is away."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from agents.formats import Format
from agents.models.classifiers.base import Prediction
from agents.models.files import ModelFiles
from agents.models.kinds import ModelKind
from app.processes.embedded import free_port, start_valkey
from app.serving.main import create_app
from app.serving.runtime.answer_cache import answer_key
from app.wiring import Parts

Http = httpx.Client
Open = Callable[..., AbstractContextManager[Http]]


@pytest.fixture
def asked() -> list[str]:
    """The texts that reached the model, warming up left out."""
    return []


@pytest.fixture
def open_serving(versions: Parts, asked: list[str]) -> Open:
    """Serve with the cache on; `url`: of another Redis for it."""

    def load(form: Format, kind: ModelKind, files: ModelFiles) -> Any:
        loaded = form.load(kind, files)

        class Listening(type(loaded)):  # type: ignore[misc]
            def predict(self, texts: Any, batch_size: int = 64) -> list[Prediction]:
                asked.extend(texts)
                return super().predict(texts, batch_size)  # type: ignore[no-any-return]

        return Listening(loaded.model, loaded.tokenizer, loaded.labels, loaded.max_tokens)

    @contextmanager
    def opened(url: str | None = None) -> Iterator[Http]:
        changed: dict[str, Any] = {"answer_cache": True, **({"redis_url": url} if url else {})}
        cached = Parts(versions.settings.model_copy(update=changed)).answer_connection
        app = create_app(versions.registry, versions.objects, versions.settings, load, look_every_s=3600, redis=cached)
        app.state.serving.reconciler.follow()
        asked.clear()
        with TestClient(app, raise_server_exceptions=False) as client:
            client.follow = app.state.serving.reconciler.follow  # type: ignore[attr-defined]
            yield client

    return opened


def without_latency(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in answer.items() if key != "latency_ms"} for answer in answers]


def ask(client: Http, *texts: str) -> list[dict[str, Any]]:
    answer = client.post("/predict/spam/batch", json={"texts": list(texts)})
    assert answer.status_code == 200, answer.text
    return without_latency(answer.json()["predictions"])


def test_a_text_that_comes_again_is_answered_alike_without_the_model(open_serving: Open, asked: list[str]) -> None:
    with open_serving() as client:
        first = ask(client, "free prize", "see you")
    with open_serving() as client:
        again = ask(client, "  see   you ", "free prize", "new", "free prize")

        assert again == [first[1], first[0], again[2], first[0]]
        assert asked == ["new"]
        metrics = client.get("/metrics").text
        assert 'tuneline_answer_cache_lookups_total{found="hit",model="spam"} 2.0' in metrics
        assert 'tuneline_answer_cache_lookups_total{found="miss",model="spam"} 1.0' in metrics
        assert 'tuneline_predictions_total{label="spam",model="spam",version="1"} 4.0' in metrics
    with open_serving() as client:
        assert client.get("/history").json()["total"] == 6


def test_another_version_answers_for_itself(open_serving: Open, versions: Parts, asked: list[str]) -> None:
    with open_serving() as client:
        before = ask(client, "hello")
        versions.registry.promote("spam", 2, at=1.0, reason="better")
        client.follow()  # type: ignore[attr-defined]
        after = ask(client, "hello")

    assert [(answer["version"], answer["label"]) for answer in before + after] == [(1, "spam"), (2, "ham")]


def test_kept_answers_expire_and_damaged_ones_count_for_nothing(open_serving: Open, versions: Parts) -> None:
    redis = versions.connection
    with open_serving() as client:
        first = ask(client, "hello")
    (name,) = redis.keys(answer_key("spam", 1, "*", "*"))
    assert 0 < redis.ttl(name) <= 3600
    for damaged in (b"[0.5]", b"{", b'["a", "b"]', b"[]"):
        redis.set(name, damaged)
        with open_serving() as client:
            assert ask(client, "hello") == first


def test_while_redis_is_away_or_refuses_the_model_answers(open_serving: Open, asked: list[str], tmp_path: Path) -> None:
    with open_serving(f"redis://127.0.0.1:{free_port()}") as client:
        assert len(ask(client, "hello")) == len(ask(client, "hello")) == 1
        assert asked == ["hello", "hello"]
        assert 'tuneline_answer_cache_lookups_total{found="error",model="spam"} 2.0' in client.get("/metrics").text
    server = start_valkey(tmp_path / "valkey")
    try:
        with open_serving(f"redis://127.0.0.1:{server.port}") as client:
            ask(client, "hello")
            server.stop()
            assert len(ask(client, "hello")) == 1
    finally:
        server.stop()
