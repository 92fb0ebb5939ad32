"""What housekeeping removes, and what it never touches."""

from collections.abc import Callable

import pytest

from agents.base.records import Artifact, artifacts_in
from app.wiring import Parts
from pipelines.engine.state import keys
from pipelines.engine.upkeep.housekeeping import Housekeeper, Retention
from tests.servers.conftest import RunJob
from tests.support.agents import echo, spec

DAY = 86400.0
VERSION = {"v": {"agent": "version", "config": {"say": "kept by its manifest's job"}}}


@pytest.fixture(autouse=True)
def _nothing_is_too_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.engine.upkeep.housekeeping.YOUNGEST_S", -1.0)


def keeper(parts: Parts, jobs_s: float = DAY, live_logs_s: float = DAY, checkpoints_s: float = DAY) -> Housekeeper:
    return Housekeeper(parts.state, parts.logs, parts.objects, Retention(jobs_s, live_logs_s, checkpoints_s))


def test_a_fresh_store_has_nothing_to_remove(parts: Parts, run_job: RunJob) -> None:
    run_job({"a": echo(), **VERSION})
    before = parts.objects.keys("")
    found = keeper(parts).find()
    keeper(parts).remove(found)

    assert (found.jobs, found.live_logs, found.objects) == ((), (), ())
    assert parts.objects.keys("") == before


def test_finding_changes_nothing(parts: Parts, run_job: RunJob) -> None:
    run_job({"a": echo()})
    before = parts.objects.keys("")
    assert keeper(parts, jobs_s=0, live_logs_s=0).find().jobs

    assert parts.objects.keys("") == before
    assert parts.state.job_ids()


def test_a_forgotten_job_takes_its_log_and_artifacts_with_it_but_for_what_the_cache_holds(
    parts: Parts, run_job: RunJob
) -> None:
    cached = run_job({"a": echo(config={"say": "cached"})})
    alone = run_job({"a": echo(config={"say": "alone"}, cache=False)})
    housekeeper = keeper(parts, jobs_s=0)
    housekeeper.remove(housekeeper.find())

    assert parts.state.job_ids() == []
    assert parts.connection.keys("tuneline:job:*") == []
    assert parts.objects.keys("jobs/") == []
    assert parts.objects.has_artifact(*artifacts_in(cached.outputs))
    assert not parts.objects.has_artifact(*artifacts_in(alone.outputs))
    assert run_job({"a": echo(config={"say": "cached"})}).nodes["a"].status == "cached"


def test_versions_and_uploads_outlive_their_jobs(parts: Parts, run_job: RunJob) -> None:
    weights = parts.objects.put_artifact(b"weights")
    run_job(VERSION)
    manifest = {"version": 1, "verdict": "PROMOTE", "formats": {"merged": [{"artifact": weights.model_dump()}]}}
    parts.objects.put_manifest("models/echo/versions/000001/manifest.json", manifest)
    rows = parts.objects.put_artifact(b"rows")
    parts.objects.put_manifest("datasets/abc/manifest.json", {"artifact": rows.model_dump()})
    housekeeper = keeper(parts, jobs_s=0)
    housekeeper.remove(housekeeper.find())

    assert parts.registry.champion("echo") == manifest
    assert parts.objects.get_artifact(weights) == b"weights"
    assert parts.objects.get_artifact(rows) == b"rows"


def test_unfinished_jobs_keep_their_checkpoints_and_those_of_the_jobs_they_continue(
    parts: Parts, run_job: RunJob
) -> None:
    failed = run_job({"a": {"agent": "fail"}}).id
    again = parts.orchestrator.retry(failed)
    strange = "checkpoints/job_unknown/training/step_00000001/attempt_1/model.safetensors"
    kept = [f"checkpoints/{job}/a/step_00000001/attempt_1/manifest.json" for job in (failed, again)]
    for key in (*kept, strange):
        parts.objects.put(key, b"x")
    housekeeper = keeper(parts, jobs_s=0)
    housekeeper.remove(housekeeper.find())

    assert parts.objects.keys("checkpoints/") == sorted(kept)
    assert set(parts.state.job_ids()) == {failed, again}


def test_checkpoints_of_ended_jobs_go_when_their_time_is_over(parts: Parts, run_job: RunJob) -> None:
    job = run_job({"a": echo()})
    parts.objects.put(f"checkpoints/{job.id}/a/step_00000001/attempt_1/manifest.json", b"{}")
    assert keeper(parts).find().checkpoints == ()
    housekeeper = keeper(parts, checkpoints_s=0)
    housekeeper.remove(housekeeper.find())

    assert parts.objects.keys("checkpoints/") == []
    assert parts.state.job_ids() == [job.id]


def test_a_dropped_live_log_is_read_from_its_archive(parts: Parts, run_job: RunJob) -> None:
    job = run_job({"a": echo()})
    before = parts.logs.read(job.id)
    housekeeper = keeper(parts, live_logs_s=0)
    housekeeper.remove(housekeeper.find())

    assert not parts.connection.exists(keys.log(job.id))
    assert parts.logs.read(job.id) == before


def test_what_a_job_refers_to_between_finding_and_removing_stays(
    parts: Parts, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = parts.objects.put_artifact(b"hello")
    found = keeper(parts).find()
    assert [entry.key for entry in found.artifacts] == [parts.objects.artifact_key(artifact.sha256)]
    run_job({"a": echo()})
    keeper(parts).remove(found)

    assert parts.objects.get_artifact(artifact) == b"hello"


def test_an_old_artifact_is_written_anew_rather_than_reused(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    put = type(parts.objects).put
    monkeypatch.setattr(type(parts.objects), "put", lambda s, key, *a, **k: (written.append(key), put(s, key, *a, **k)))
    first: Artifact = parts.objects.put_artifact(b"hello")
    parts.objects.put_artifact(b"hello")
    assert len(written) == 1
    monkeypatch.setattr("agents.base.object_store.REUSE_S", -1.0)
    assert parts.objects.put_artifact(b"hello") == first

    assert len(written) == 2


def test_a_running_jobs_message_and_outputs_stay(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    housekeeper = keeper(parts, jobs_s=0, live_logs_s=0, checkpoints_s=0)
    housekeeper.remove(housekeeper.find())
    drain()

    assert parts.state.head(job_id).status == "completed"
