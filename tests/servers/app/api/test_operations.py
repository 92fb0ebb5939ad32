"""Every operation of both services asked for real, well and badly; the contract holds each answer to the document."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from agents.base import bucket
from app.api.main import create_app
from app.openapi import operations
from app.serving.main import create_serving
from app.wiring import Parts, build_parts
from tests.support.agents import echo, spec
from tests.support.contract import Book, document_of
from tests.support.written import put_decoder

MESSAGES = [{"role": "user", "content": "hello"}]
NOBODY = "Bearer nobody's"
JSON = {"Content-Type": "application/json"}


def hit(book: Book, document: dict[str, Any]) -> None:
    """See that every operation has answered well, and each with a fault that can."""
    good = {name for name, status in book.seen if status < 400}
    bad = {name for name, status in book.seen if status >= 400}
    ids = {operation["operationId"] for _, operation in operations(document)}
    refusing = {
        operation["operationId"]
        for _, operation in operations(document)
        if {"400", "404", "409", "422"} & set(operation["responses"])
    }

    assert ids - good == set()
    assert refusing - bad == set()


def refuse_everywhere(client: TestClient, document: dict[str, Any]) -> None:
    """Ask each operation with a query that none takes, and those with a body with one that none takes."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert client.request(method, f"{path}?x=%00").status_code in {400, 422}, path
            if "requestBody" in operation:
                assert (
                    client.request(method, path, content="x", headers={"Content-Type": "text/plain"}).status_code == 415
                )


def open_and_close_a_session(client: TestClient) -> None:
    """Be a browser for a while."""
    assert client.post("/session").status_code == 204
    assert client.delete("/session").status_code == 204


@pytest.fixture
def api(versions: Parts) -> Iterator[TestClient]:
    with TestClient(create_app(versions), raise_server_exceptions=False) as client:
        yield client


def test_every_operation_of_the_api_answers_as_its_document_says(
    api: TestClient, versions: Parts, drain: Callable[[], None], contract: Book
) -> None:
    submitted = api.post("/jobs", json={"spec": spec({"a": echo(), "b": {"agent": "fail", "needs": ["a"]}})}).json()
    job = f"/jobs/{submitted['id']}"
    api.post(f"{job}/pause")
    api.post(f"{job}/resume")
    drain()
    again = api.post(f"{job}/retry").json()["id"]
    api.delete(f"/jobs/{again}")
    dataset = api.post("/datasets", files={"file": ("rows.csv", b"text,label\nhi,ham\nwin,spam\n,x\n")}).json()["id"]
    card = versions.objects.put_artifact(b"# spam", "text/markdown").model_dump()
    picture = versions.objects.put_artifact(b"<svg/>", "image/svg+xml").model_dump()
    key = bucket.version_manifest("spam", 2)
    manifest = {**versions.objects.get_manifest(key), "card": card, "pictures": {"roc.svg": picture}}
    versions.objects.put_manifest(key, manifest)
    api.post("/models/spam/promote", json={"version": 2, "reason": "better"})
    api.post("/models/spam/rollback")
    for path in (
        *("/jobs", job, f"{job}/artifacts", f"{job}/artifacts/a/artifact", f"{job}/logs", f"{job}/logs/stream"),
        *("/datasets", f"/datasets/{dataset}", f"/datasets/{dataset}/preview"),
        "/datasets/preview?source=package://pipelines/data/spam.jsonl",
        *("/models", "/models/spam", "/models/spam/2", "/models/spam/2/card", "/models/spam/2/pictures/roc.svg"),
        *("/models/spam/2/files?format=merged", "/models/spam/2/download?format=merged"),
        *("/queues", "/workers", "/health", "/metrics"),
    ):
        assert api.get(path).status_code == 200, path
    part = api.get("/models/spam/2/download?format=merged", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.headers["content-length"]) == (206, "10")
    api.put("/queues/training", json={"workers": 1})
    refuse_all_of_the_api(api, job)
    refuse_everywhere(api, document_of(api.app))  # type: ignore[arg-type]
    open_and_close_a_session(api)
    versions.connection.delete("tuneline:model:spam:aliases")
    assert api.delete("/models/spam/2").status_code == 204

    hit(contract, document_of(api.app))  # type: ignore[arg-type]


def refuse_all_of_the_api(api: TestClient, job: str) -> None:
    """Ask each operation for what it can't do."""
    requests = [
        *(("POST", "/jobs", {"content": b"[", "headers": JSON}), ("GET", "/jobs?limit=0", {}), ("DELETE", job, {})),
        *(("POST", f"{job}/{verb}", {}) for verb in ("pause", "resume")),
        *(("GET", f"/jobs/none{below}", {}) for below in ("", "/artifacts", "/artifacts/a/b", "/logs", "/logs/stream")),
        *(("POST", "/jobs/none/retry", {}), ("POST", "/datasets", {}), ("GET", "/datasets/none", {})),
        *(("GET", "/datasets/none/preview", {}), ("GET", "/datasets/preview?source=none.csv", {})),
        *(("GET", "/models?limit=0", {}), ("GET", "/models/none", {})),
        *(("GET", f"/models/none/1{below}", {}) for below in ("", "/card", "/pictures/x", "/files", "/download")),
        *(("POST", "/models/spam/promote", {}), ("POST", "/models/none/rollback", {})),
        *(("DELETE", "/models/spam/1", {}), ("PUT", "/queues/none", {"json": {"workers": 1}})),
    ]
    for method, path, fields in requests:
        answer = api.request(method, path, **fields)
        assert 400 <= answer.status_code < 500, (method, path, answer.text)
        assert set(answer.json()) == {"error", "message", "details"}


@pytest.fixture
def serving(versions: Parts) -> Iterator[TestClient]:
    # By llama.cpp, since a grammar sees to it that its answer is JSON.
    put_decoder(versions, 1, "gguf_q8_0")
    app = create_serving(versions)
    app.state.serving.reconciler.follow()
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_every_operation_of_serving_answers_as_its_document_says(serving: TestClient, contract: Book) -> None:
    assert serving.post("/predict/spam", json={"text": "hi"}).status_code == 200
    assert serving.post("/predict/spam/batch", json={"texts": ["hi", "ho"]}).status_code == 200
    batch = serving.post("/predict/spam/batch/async", json={"texts": ["hi"]}).json()["id"]
    chat = {"model": "task", "messages": MESSAGES, "max_tokens": 2}
    completion = {"model": "task", "prompt": "hello", "max_tokens": 2}
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    for path, body in (("/v1/chat/completions", chat), ("/v1/completions", completion)):
        assert serving.post(path, json=body).json()["usage"]["completion_tokens"] <= 2
        assert serving.post(path, json={**body, **usage}).text.endswith("data: [DONE]\n\n")
    for path in (
        *(f"/predict/batch/{batch}", "/history", "/v1/models", "/v1/models/task"),
        *("/models", "/drift", "/health", "/metrics"),
    ):
        assert serving.get(path).status_code == 200, path
    assert serving.post("/convert", json={"text": "hello"}).json()["success"] is True
    refuse_all_of_serving(serving)
    refuse_everywhere(serving, document_of(serving.app))  # type: ignore[arg-type]
    open_and_close_a_session(serving)

    hit(contract, document_of(serving.app))  # type: ignore[arg-type]


def refuse_all_of_serving(serving: TestClient) -> None:
    """Ask each operation for what it can't do."""
    ours: list[tuple[str, str, Any]] = [
        *(("POST", "/predict/none", {"text": "hi"}), ("POST", "/predict/spam/batch", {"texts": []})),
        *(("POST", "/predict/none/batch/async", {"texts": ["hi"]}), ("GET", "/predict/batch/none", None)),
        *(("GET", "/history?limit=0", None), ("POST", "/convert", {"text": "hi", "model": "spam"})),
    ]
    for method, path, body in ours:
        answer = serving.request(method, path, json=body)
        assert 400 <= answer.status_code < 500, (method, path, answer.text)
        assert set(answer.json()) == {"error", "message", "details"}
    openai: list[tuple[str, str, Any]] = [
        *(("GET", "/v1/models/spam", None), ("POST", "/v1/completions", {"model": "task"})),
        ("POST", "/v1/chat/completions", {"model": "none", "messages": MESSAGES}),
    ]
    for method, path, body in openai:
        answer = serving.request(method, path, json=body)
        assert 400 <= answer.status_code < 500, (method, path, answer.text)
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_without_the_key_every_operation_but_health_is_refused(versions: Parts) -> None:
    keyed = build_parts(versions.settings.model_copy(update={"api_key": SecretStr("secret")}))
    for app in (create_app(keyed), create_serving(keyed)):
        client = TestClient(app)
        for path, methods in document_of(app)["paths"].items():
            for method in methods:
                answer = client.request(method.upper(), path, headers={"Authorization": NOBODY})
                # So many wrong keys are put off at last.
                assert (answer.status_code in {401, 429}) is (path != "/health"), (method, path)
    app.state.serving.history.close()
    keyed.connection.close()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/jobs", "GET, POST"),
        ("DELETE", "/models/spam/promote", "POST"),
        ("GET", "/api/v1/models/spam/rollback", "POST"),
        ("POST", "/models/spam/3", "DELETE, GET"),
        ("OPTIONS", "/jobs/job_1/artifacts/training/a/b", "GET"),
        ("PATCH", "/queues/default", "PUT"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(
    api: TestClient, method: str, path: str, allowed: str
) -> None:
    answer = api.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
