"""A job begun under a release that named attempts by the node's name goes on under this one."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from rq import Queue
from rq.serializers import JSONSerializer

import app.processes.worker
from app.api.main import create_app
from app.wiring import Parts, build_parts
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys
from pipelines.engine.state.fleet import Reservation
from pipelines.engine.upkeep.housekeeping import Garbage
from pipelines.engine.worker.attempt import checkpoint_prefixes
from tests.support.agents import echo, spec

#: A matrix value with a bar in it: what the older release could not cut.
NAME = "a[say=x|y]"
KEPT = Path(__file__).parent / "kept" / "running_job.json"
NODES = {"a": echo(matrix={"say": ["x|y"]}), "b": echo("a", cache=False)}


@pytest.fixture(autouse=True)
def _long_lived_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.engine.upkeep.sweeper.Sweeper._redis_has_just_started", lambda _: False)


def rename(parts: Parts, key: str, job_id: str, score: float = 1.0) -> bytes:
    """Have a sorted set name the first attempt at the first node as the older release did; return that name."""
    old = f"{job_id}|{NAME}|1"
    assert parts.connection.zrem(key, AttemptId(job_id, 0, 1).key())
    parts.connection.zadd(key, {old: score})
    return old.encode()


def finish(parts: Parts, drain: Callable[[], None], job_id: str) -> None:
    """Sweep and work as processes of this release, and see that the job ends and leaves nothing behind."""
    for _ in range(2):
        build_parts(parts.settings).sweeper.sweep()
        drain()
    assert parts.state.head(job_id).status == "completed"
    left = [parts.connection.zcard(key) for key in (keys.LEASES, keys.SENT, keys.DUE, keys.UNARCHIVED)]
    assert left == [0, 0, 0, 0]
    assert parts.connection.hlen(keys.SET_ASIDE) == 0
    assert parts.connection.hlen(keys.said(job_id)) == 0


def restore(parts: Parts, dump: dict[str, tuple[str, Any]]) -> None:
    """Write what `kept/running_job.json` has of each key; what has a time limit is past it."""
    for key, (kind, value) in dump.items():
        if kind == "string":
            parts.connection.set(key, value)
        elif kind == "hash":
            binary = {field: text.encode("latin-1") if field == "data" else text for field, text in value.items()}
            parts.connection.hset(key, mapping=binary)
        elif kind == "zset":
            timed = key in {keys.LEASES, keys.DUE, keys.SENT}
            parts.connection.zadd(key, {member: 1.0 if timed else score for member, score in value.items()})
        elif kind == "list":
            parts.connection.rpush(key, *value)
        elif kind == "set":
            parts.connection.sadd(key, *value)
        else:
            for stream_id, entry in value:
                parts.connection.xadd(key, entry, id=stream_id)


def test_a_whole_job_that_it_left_half_way_goes_on(parts: Parts, drain: Callable[[], None]) -> None:
    """One node is done, one runs, one waits in its queue, one for its next try, and one has a version number."""
    restore(parts, json.loads(KEPT.read_text(encoding="utf-8")))
    (job_id,) = parts.state.job_ids()
    half_way = parts.logs.read(job_id)
    assert [record["event"] for record in half_way][-2:] == ["said", "progress"]
    finish(parts, drain, job_id)
    job, records = parts.state.job(job_id), parts.logs.read(job_id)

    assert {name: node.attempt for name, node in job.nodes.items()} == {
        "first": 1,
        "branch[say=a/b.jsonl]": 2,
        "branch[say=c]": 1,
        "flaky": 2,
        "join": 1,
        "export": 1,
    }
    assert job.outputs["join"]["heard"] == ["a/b.jsonl", "c", "at last"]
    assert job.outputs["export"]["version"] == 1
    assert records[: len(half_way)] == half_way
    assert [record["event"] for record in records].count("job_completed") == 1
    assert [found.id for found in parts.job_index.page("completed", "kept", 0, 10).jobs] == [job_id]
    parts.housekeeper.remove(Garbage(jobs=(job_id,)))
    assert not parts.connection.hexists(keys.reserved("kept"), f"{job_id}|export")


def test_its_lost_lease_is_found(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(spec(NODES), {})
    parts.orchestrator.claim(job_id, NAME, 1, "of the older release")
    old = rename(parts, keys.LEASES, job_id)
    parts.connection.hset(keys.said(job_id), old, 7)
    finish(parts, drain, job_id)

    assert [node.attempt for node in parts.state.job(job_id).nodes.values()] == [2, 1]


def test_its_lost_message_is_sent_again(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(spec(NODES), {})
    parts.connection.delete("rq:queue:default")
    rename(parts, keys.SENT, job_id)

    finish(parts, drain, job_id)


def test_its_message_that_was_claimed_since_is_forgotten(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(spec(NODES), {})
    rename(parts, keys.SENT, job_id)
    drain()

    finish(parts, drain, job_id)


def test_its_retry_becomes_due(parts: Parts, drain: Callable[[], None]) -> None:
    flaky = {"agent": "fail", "config": {"kind": "memory", "times": 1}, "matrix": {"kind": ["memory"]}}
    job_id = parts.orchestrator.submit(spec({"a": flaky}), {})
    drain()
    parts.connection.delete(keys.DUE)
    parts.connection.zadd(keys.DUE, {f"{job_id}|a[kind=memory]|1": 0})

    finish(parts, drain, job_id)


@pytest.mark.parametrize("handler", ["app.worker.handle", "module.that.was.moved"])
def test_its_queued_messages_are_run(parts: Parts, drain: Callable[[], None], handler: str) -> None:
    job_id = parts.orchestrator.submit(spec(NODES), {})
    node = parts.state.plan(job_id).nodes[NAME]
    parts.connection.flushall()
    job_id = parts.orchestrator.submit(spec(NODES), {})
    parts.connection.delete("rq:queue:default", f"rq:job:{job_id}-0-1")
    message = {"job": job_id, "node": NAME, "attempt": 1, "agent": "echo", "config": node.config, "inputs": []}
    row = Queue.prepare_data(
        handler,
        args=(message,),
        job_id=f"{job_id}-0-1",
        timeout=-1,
        result_ttl=0,
        failure_ttl=0,
        description="a of job",
    )
    Queue("default", connection=parts.connection, serializer=JSONSerializer).enqueue_many([row])
    drain()

    finish(parts, drain, job_id)
    assert not parts.connection.keys("rq:job:*")


def test_its_fleet_finds_the_worker_that_it_starts() -> None:
    """A fleet names what its processes run by this path, and pickles it."""
    found = pickle.loads(b"capp.worker\nwork_in_fleet\n.")

    assert found is app.processes.worker.work_in_fleet


def test_what_it_runs_and_has_reserved_is_shown(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(spec(NODES), {})
    parts.orchestrator.claim(job_id, NAME, 1, "host-1")
    old = rename(parts, keys.LEASES, job_id, parts.state.clock.now() + 600)
    device = {"index": 0, "uuid": "GPU-a", "name": "H100", "total_mib": 80_000, "free_mib": 80_000}
    parts.connection.set(keys.devices("host"), json.dumps([device]))
    parts.connection.hset(keys.device("GPU-a"), old, '{"mib": 6000, "others_mib": 0}')
    parts.connection.hset(keys.device("GPU-a"), "nobody", '{"mib": 1, "others_mib": 0}')
    parts.connection.zadd(keys.LEASES, {"nobody": parts.state.clock.now() + 600})

    assert TestClient(create_app(parts)).get("/workers").status_code == 200
    (host,) = parts.fleet.hosts(["host"])
    assert host.devices[0].reservations == (Reservation(f"{job_id}/{NAME}", attempt=1, mib=6000),)


def test_its_version_number_is_kept(parts: Parts) -> None:
    node = parts.state.plan(parts.orchestrator.submit(spec(NODES), {})).nodes[NAME]
    parts.connection.hset(keys.reserved("m"), mapping={f"job_1|{NAME}": 4, "last": 6})

    assert parts.registry.reserve("m", "job_1", node) == 4
    assert parts.registry.reserve("m", "job_2", node) == 7


def test_its_checkpoints_are_looked_for_below_the_name(parts: Parts) -> None:
    node = parts.state.plan(parts.orchestrator.submit(spec(NODES), {})).nodes[NAME]

    assert checkpoint_prefixes(["job_2", "job_1"], node) == (
        "checkpoints/job_2/0",
        f"checkpoints/job_2/{NAME}",
        "checkpoints/job_1/0",
        f"checkpoints/job_1/{NAME}",
    )
