"""What ran, waited, was paused or had ended under an earlier release goes on under this one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.api.main import create_app
from app.wiring import Parts, build_parts
from tests.kept.dumps import put_objects, read_json, restore
from tests.support.processes import wait_for

#: Of what runs these change with the clock.
MOVING = {"seconds", "waits_for"}
WORK = "from app.processes.worker import work; work(['default', 'training'])"


@dataclass(frozen=True)
class Kept:
    """The servers as they were, with this release's API before them; `recorded`: what the API said then."""

    parts: Parts
    api: httpx.Client
    recorded: dict[str, Any]

    def job(self, name: str) -> str:
        return str(self.recorded["jobs"][name])

    def get(self, url: str, **params: Any) -> Any:
        answer = self.api.get(url, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def log_of(self, name: str) -> list[dict[str, Any]]:
        """Return a job's log as it was."""
        found: list[dict[str, Any]] = self.recorded["logs"][f"/jobs/{self.job(name)}/logs"]["records"]
        return found


@pytest.fixture
def kept(parts: Parts) -> Iterator[Kept]:
    put_objects(parts.objects, "job/objects.tar.gz")
    restore(parts.connection, read_json("job/redis.json"))
    # The API sweeps, too: here only who is told to.
    patient = build_parts(parts.settings.model_copy(update={"sweep_interval_s": 3600.0}))
    with TestClient(create_app(patient), raise_server_exceptions=False) as client:
        yield Kept(patient, client, read_json("job/answers.json"))
    patient.connection.close()


def missing(recorded: Any, found: Any, place: str = "") -> Iterator[str]:
    """Yield every place where an answer no longer says what it said; what is new there may be."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for name, value in recorded.items():
            if name not in MOVING:
                yield from missing(value, found.get(name), f"{place}/{name}")
    elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        for number, pair in enumerate(zip(recorded, found, strict=True)):
            yield from missing(*pair, f"{place}/{number}")
    elif recorded != found:
        yield f"{place}: was {recorded!r}, is {found!r}"


def test_the_api_says_of_them_what_it_said(kept: Kept) -> None:
    answers = kept.recorded["answers"]
    assert len(answers) == 9
    for url, recorded in answers.items():
        assert list(missing(recorded, kept.get(url))) == [], url


def test_a_running_job_goes_on_to_its_end_and_a_paused_one_when_it_is_resumed(kept: Kept) -> None:
    running, paused = kept.job("running"), kept.job("paused")
    before = kept.log_of("running")
    assert kept.get(f"/jobs/{running}")["status"] == "running"
    assert kept.api.post(f"/jobs/{paused}/resume").json()["status"] == "queued"
    worker = subprocess.Popen([sys.executable, "-c", WORK])
    try:
        wait_for(kept.parts, running, "job_completed")
        wait_for(kept.parts, paused, "job_completed")
    finally:
        worker.kill()
        worker.wait()
    job = kept.get(f"/jobs/{running}")
    nodes = job["nodes"]

    assert (job["status"], kept.get(f"/jobs/{paused}")["status"]) == ("completed", "completed")
    assert nodes.pop("skipped")["status"] == "skipped"
    assert {node["status"] for node in nodes.values()} == {"completed"}
    assert {name: node["attempt"] for name, node in nodes.items() if node["attempt"] > 1} == {"flaky": 2, "lost": 2}
    assert nodes["version"]["output"]["heard"] == ["at last", "done", "queued", "taken", "x", "x", "y z", "y z"]
    assert nodes["version"]["output"]["version"] == 3
    assert kept.get("/models/echo")["aliases"] == {"champion": 3, "previous": 2}
    records = kept.get(f"/jobs/{running}/logs")["records"]
    assert records[: len(before)] == before
    done = [record["node"] for record in records if record["event"] == "node_completed"]
    assert sorted(done) == sorted(nodes)
    assert [record["node"] for record in records if record["event"] == "worker_lost"] == ["lost"]
    assert_nothing_is_left(kept)


def assert_nothing_is_left(kept: Kept) -> None:
    """Nothing waits, runs or is reserved any more, once the sweeper has looked."""
    kept.parts.sweeper.sweep()
    assert {queue["messages"] for queue in kept.get("/queues")["queues"]} == {0}
    answer = kept.get("/workers")
    assert [worker["runs"] for worker in answer["workers"] if worker["runs"]] == []
    assert {device["reserved_mib"] for host in answer["hosts"] for device in host["devices"]} == {0}
    assert kept.parts.sweeper.sweep() == 0


def test_a_failed_job_can_be_retried_with_what_it_had_finished(kept: Kept) -> None:
    retry = kept.api.post(f"/jobs/{kept.job('failed')}/retry").json()

    assert retry["retry_of"] == kept.job("failed")
    assert {name: node["status"] for name, node in retry["nodes"].items()} == {"a": "cached", "b": "ready"}


def test_an_idempotency_key_still_names_its_job(kept: Kept) -> None:
    spec, headers = read_json("job/spec.json"), {"Idempotency-Key": "kept-key"}
    again = kept.api.post("/jobs", json=spec, headers=headers)
    other = kept.api.post("/jobs", json={**spec, "params": {"word": "new"}}, headers=headers)

    assert (again.status_code, again.json()["id"]) == (202, kept.job("running"))
    assert other.status_code == 409


def test_a_running_job_can_be_cancelled(kept: Kept) -> None:
    job = kept.job("running")
    assert kept.api.delete(f"/jobs/{job}").status_code == 202
    assert_nothing_is_left(kept)

    assert kept.get(f"/jobs/{job}")["status"] == "cancelled"


def test_an_archived_log_is_read_by_the_cursors_of_the_live_one(kept: Kept) -> None:
    url, live = f"/jobs/{kept.job('ended')}/logs", kept.log_of("ended")
    assert len(live) > 5
    assert kept.get(url)["records"] == live
    for seen, record in enumerate(live, start=1):
        assert kept.get(url, after=record["id"])["records"] == live[seen:]
        assert streamed(kept, url, record["id"]) == live[seen:]
    of_node = [record for record in live if record["node"] == "v"]
    assert kept.get(url, node="v")["records"] == of_node
    assert kept.get(url, level="error")["records"] == []


def streamed(kept: Kept, url: str, cursor: str) -> list[dict[str, Any]]:
    """Return the records that a client gets that comes back to the event stream with a cursor."""
    lines = kept.api.get(f"{url}/stream", headers={"Last-Event-ID": cursor}).text.splitlines()
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert data.pop() == {"status": "completed"}
    return data


def test_the_registry_is_made_anew_from_what_lies_in_the_bucket(kept: Kept) -> None:
    recorded = kept.recorded["answers"]["/models/echo"]
    kept.parts.connection.flushall()
    assert kept.parts.registry.rebuild() == {"echo": 2}

    assert list(missing(recorded, kept.get("/models/echo"))) == []
