"""Asynchronous batches over real parts: submitted over HTTP, worked off by a worker, of a version that stays pinned."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from app.serving.main import create_serving
from app.wiring import Parts
from tests.support.in_process import InProcessWorker
from tests.support.served import write_version

Http = httpx.Client
TEXTS = ["free prize", "see you at six", "é" * 300]


@pytest.fixture
def serving(versions: Parts) -> Iterator[Http]:
    app = create_serving(versions)
    app.state.serving.reconciler.follow()
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def work_off(own_worker: InProcessWorker) -> Callable[[], None]:
    """Return a function that works off the queue `serving` in this process."""
    return lambda: own_worker.work_off(["serving"])


def test_a_batch_is_answered_later_as_serving_would_have(serving: Http, work_off: Callable[[], None]) -> None:
    now = serving.post("/predict/spam/batch", json={"texts": TEXTS}).json()["predictions"]
    accepted = serving.post("/predict/spam/batch/async", json={"texts": TEXTS})
    before = serving.get(f"/predict/batch/{accepted.json()['id']}").json()
    work_off()
    done = serving.get(f"/predict/batch/{accepted.json()['id']}").json()

    assert (accepted.status_code, accepted.json()["status"]) == (202, "queued")
    assert (before["status"], before["predictions"], before["texts"]) == ("queued", None, 3)
    assert (done["status"], done["progress"]["done"], done["error"]) == ("completed", 3, None)
    for later, at_once in zip(done["predictions"], now, strict=True):
        assert {key: later[key] for key in ("label", "model", "version")} == {
            key: at_once[key] for key in ("label", "model", "version")
        }
        assert later["scores"] == pytest.approx(at_once["scores"], abs=1e-4)


def test_the_version_is_the_champion_at_the_submission(
    serving: Http, versions: Parts, work_off: Callable[[], None]
) -> None:
    accepted = serving.post("/predict/spam/batch/async", json={"texts": TEXTS}).json()
    versions.registry.promote("spam", 2, at=1.0, reason="better")
    work_off()
    done = serving.get(f"/predict/batch/{accepted['id']}").json()

    assert (accepted["version"], done["version"]) == (1, 1)
    assert [(answer["version"], answer["label"]) for answer in done["predictions"]] == [(1, "spam")] * 3


def test_predictions_come_in_pages_where_asked_for(serving: Http, work_off: Callable[[], None]) -> None:
    batch_id = serving.post("/predict/spam/batch/async", json={"texts": TEXTS}).json()["id"]
    work_off()
    whole = serving.get(f"/predict/batch/{batch_id}").json()["predictions"]

    assert serving.get(f"/predict/batch/{batch_id}?offset=1&limit=1").json()["predictions"] == whole[1:2]


def test_a_batch_whose_files_are_damaged_fails_and_says_so(
    serving: Http, versions: Parts, work_off: Callable[[], None]
) -> None:
    broken = {"config.json": versions.objects.put_artifact(b"{}")}
    write_version(versions, 3, broken)
    versions.registry.rebuild()
    versions.registry.promote("spam", 3, at=1.0, reason="broken")
    batch_id = serving.post("/predict/spam/batch/async", json={"texts": TEXTS}).json()["id"]
    work_off()
    failed = serving.get(f"/predict/batch/{batch_id}").json()

    assert (failed["status"], failed["version"], failed["predictions"]) == ("failed", 3, None)
    assert failed["error"]["error"] == "INVALID_MODEL"


def test_what_can_not_be_queued_is_refused(versions: Parts) -> None:
    settings = versions.settings.model_copy(update={"async_batch_texts_most": 2})
    narrow = type(versions)(settings)
    with TestClient(create_serving(narrow)) as client:
        many = client.post("/predict/spam/batch/async", json={"texts": TEXTS})
        empty = client.post("/predict/spam/batch/async", json={"texts": []})
        unknown = client.post("/predict/other/batch/async", json={"texts": ["x"]})
        no_job = client.get("/predict/batch/job_none")
        job = narrow.orchestrator.submit({"name": "echo", "nodes": {"a": {"agent": "echo"}}}, {})
        no_batch = client.get(f"/predict/batch/{job}")
    narrow.connection.close()

    assert (many.status_code, "ASYNC_BATCH_TEXTS_MOST" in many.json()["message"]) == (422, True)
    assert (empty.status_code, unknown.status_code, no_job.status_code) == (422, 404, 404)
    assert "There are: spam." in unknown.json()["message"]
    assert (no_batch.status_code, "not a batch of predictions" in no_batch.json()["message"]) == (404, True)


def test_what_a_waiting_batch_needs_is_no_rubbish(serving: Http, versions: Parts) -> None:
    serving.post("/predict/spam/batch/async", json={"texts": TEXTS})
    referred = versions.housekeeper._referred(versions.housekeeper._heads())
    (job,) = versions.state.job_ids()
    config = versions.state.plan(job).nodes["prediction"].config

    assert config["texts"]["sha256"] in referred
    assert {file["sha256"] for file in config["files"].values()} <= referred


@pytest.mark.parametrize("name", ["/{folder}/written", "../../../../../../..{folder}/written", "a\x00b", ".hidden"])
def test_files_of_a_job_that_an_earlier_release_took_lead_nowhere_else(
    serving: Http, versions: Parts, work_off: Callable[[], None], tmp_path: Path, name: str
) -> None:
    batch_id = serving.post("/predict/spam/batch/async", json={"texts": TEXTS}).json()["id"]
    plan = versions.state.plan(batch_id)
    node = plan.nodes["prediction"]
    file = next(iter(node.config["files"].values()))
    hostile = {**node.config, "files": {name.format(folder=tmp_path): file}}
    nodes = {"prediction": node.model_copy(update={"config": hostile})}
    job = versions.state.submit("job_of_an_earlier_release", plan.model_copy(update={"nodes": nodes}))
    (tmp_path / "written").write_bytes(b"before")
    work_off()
    error = versions.state.job(job).nodes["prediction"].error or {}

    assert error["error"] == "INVALID_SPEC"
    assert "is not a name below a folder" in error["message"]
    assert (tmp_path / "written").read_bytes() == b"before"
