"""The network between a worker and Redis is cut for a while, Redis is full or emptied: workers heal by themselves."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.wiring import Parts, build_parts
from pipelines.engine.state import keys
from tests.faults.farm import Farm, farm, log_of, until
from tests.support.agents import NAMES, TEST_AGENTS, echo, spec
from tests.support.processes import wait_for, wait_until_gone, worker_processes
from tests.support.proxy import Proxy

pytestmark = pytest.mark.slow
WHOLE = os.environ.get("FAULTS") == "all"
CUT_S = 120.0 if WHOLE else 4.0
WAIT = {"wait": {"agent": "wait"}, "after": echo("wait")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm of its own without workers, whose Redis can be emptied."""
    agents = ",".join(f"{name}={TEST_AGENTS[name].path}" for name in NAMES)
    environment = {"TUNELINE_AGENTS": agents, "TUNELINE_REDIS_TIMEOUT_S": "2.0", "TUNELINE_STOP_GRACE_S": "1.0"}
    with farm(tmp_path_factory.mktemp("cut"), environment) as made:
        yield made


@pytest.fixture
def cut(place: Farm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before Redis, that worker processes go through from now on."""
    made = Proxy(place.valkey.port)
    monkeypatch.setenv("TUNELINE_REDIS_URL", f"redis://127.0.0.1:{made.port}")
    yield made
    made.close()


@contextmanager
def swept(parts: Parts) -> Iterator[None]:
    """Sweep on Redis's side of the cut, as the API does."""
    stop = threading.Event()
    thread = threading.Thread(target=build_parts(parts.settings).sweeper.run, args=(stop, 0.1))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def listed(parts: Parts, pid: int) -> bool:
    return any(worker.name.endswith(f"-{pid}") for worker in parts.fleet.workers())


def forget_workers(parts: Parts) -> None:
    """Do what the time limit of their entries does; a look takes them out of the list."""
    for name in parts.connection.keys("rq:worker:*"):
        parts.connection.delete(name)
    assert parts.fleet.workers() == []


def test_an_idle_worker_is_back_after_a_cut(place: Farm, cut: Proxy) -> None:
    parts = place.parts
    with worker_processes() as (worker,):
        until(lambda: listed(parts, worker.pid), "it never came")
        with cut.cut(), swept(parts):
            pause(CUT_S)
            forget_workers(parts)
            job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
        wait_for(parts, job_id, "job_completed")
        until(lambda: listed(parts, worker.pid), "it works, but is not listed")
        assert worker.poll() is None
        queue = next(queue for queue in parts.fleet.queues(["default"]) if queue.name == "default")
        assert queue.workers == 1


def test_an_attempt_that_nobody_else_was_given_is_kept(place: Farm, cut: Proxy) -> None:
    parts = place.parts
    job_id = parts.orchestrator.submit(spec({"a": {"agent": "wait"}}), {})
    with worker_processes() as (worker,):
        wait_for(parts, job_id, "waiting")
        with cut.cut():
            pause(CUT_S)
        lease = parts.state.clock.now()
        until(lambda: (first_lease(parts) or 0) > lease + 0.5, "its lease was not renewed")
        assert parts.state.job(job_id).nodes["a"].attempt == 1
        parts.orchestrator.stop(job_id, "cancel")
        wait_for(parts, job_id, "job_cancelled")
        assert worker.poll() is None
    assert "worker_lost" not in [record["event"] for record in log_of(parts, job_id)]


def test_an_attempt_that_was_given_to_another_is_written_once(
    place: Farm, cut: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = place.parts
    job_id = parts.orchestrator.submit(spec(WAIT), {})
    with worker_processes() as (away,):
        child = wait_for(parts, job_id, "waiting")["pid"]
        monkeypatch.setenv("TUNELINE_REDIS_URL", f"redis://127.0.0.1:{place.valkey.port}")
        with cut.cut(), swept(parts), worker_processes():
            wait_for(parts, job_id, "job_completed")
        wait_until_gone(child)
        until(lambda: listed(parts, away.pid), "it is not listed")
        events = [record["event"] for record in log_of(parts, job_id)]
        assert (events.count("worker_lost"), events.count("node_completed")) == (1, 2)
        assert events[-1] == "job_completed"


def test_workers_are_back_after_redis_was_emptied(place: Farm) -> None:
    parts = place.parts
    lost = parts.orchestrator.submit(spec({"a": {"agent": "wait", "config": {"deaf": True}}}), {})
    with worker_processes(2) as workers:
        child = wait_for(parts, lost, "waiting")["pid"]
        parts.connection.flushall()
        wait_until_gone(child)
        for worker in workers:
            until(lambda: listed(parts, worker.pid), "it is not listed")  # noqa: B023
        job_id = parts.orchestrator.submit(spec({f"n{i}": echo(cache=False) for i in range(6)}), {})
        wait_for(parts, job_id, "job_completed")
        assert [worker.poll() for worker in workers] == [None, None]


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_workers_wait_for_a_redis_that_takes_nothing(place: Farm, how: str) -> None:
    parts, connection = place.parts, place.parts.connection
    job_id = parts.orchestrator.submit(spec({"a": {"agent": "wait"}}), {})
    with worker_processes(2) as workers:
        wait_for(parts, job_id, "waiting")
        below = {worker.pid: place.family(worker.pid) for worker in workers}
        if how == "full":
            connection.config_set("maxmemory", 1)
        else:
            connection.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            before = parts.state.clock.now()
            pause(CUT_S)
            if how == "full":
                # A lease is renewed all the same: it takes no memory.
                until(lambda: (first_lease(parts) or 0) > before + 2.0, "its lease was not renewed")
        finally:
            connection.config_set("maxmemory", 0)
            connection.execute_command("REPLICAOF", "NO", "ONE")
        assert {worker.pid: place.family(worker.pid) for worker in workers} == below
        quick = parts.orchestrator.submit(spec({"a": echo(cache=False)}), {})
        wait_for(parts, quick, "job_completed")
        parts.orchestrator.stop(job_id, "cancel")
        wait_for(parts, job_id, "job_cancelled")
        assert parts.state.job(job_id).nodes["a"].attempt == 1


def first_lease(parts: Parts) -> float | None:
    found = parts.connection.zrange(keys.LEASES, 0, 0, withscores=True)
    return float(found[0][1]) if found else None


def pause(seconds: float) -> None:
    """Let the fault last."""
    threading.Event().wait(seconds)
