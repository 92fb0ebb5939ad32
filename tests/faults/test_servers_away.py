"""Redis and the object store stay away for a while, or Redis freezes: jobs go on, followers miss nothing."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from app.client import Client
from app.processes.embedded import free_port
from tests.faults import breakpoints
from tests.faults.conftest import pipeline, submit
from tests.faults.farm import Farm, log_of, wait_completed
from tests.faults.soundness import assert_sound
from tests.support.door import BEARER

pytestmark = pytest.mark.slow
AWAY_S = 30.0 if os.environ.get("FAULTS") == "all" else 3.0
#: Longer than any answer may take: a request that hangs fails here.
HANGS_S = 20.0


@contextmanager
def followed(struck: Farm, port: int, job_id: str) -> Iterator[list[str]]:
    """Follow a job's log beside the test; on leaving, all that the follower saw is there."""
    seen: list[str] = []
    client = Client(f"http://127.0.0.1:{port}")
    thread = threading.Thread(target=lambda: seen.extend(record["id"] for record in client.follow(job_id)), daemon=True)
    thread.start()
    yield seen
    thread.join(60)
    assert not thread.is_alive(), "the follower never came to the end"


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Keep a process stopped: its connections stay open, and it answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def port(struck: Farm) -> Iterator[int]:
    """The port of an API over the farm."""
    found = free_port()
    api = struck.start_api(found)
    yield found
    api.stop()


def test_redis_goes_away_while_a_training_runs(armed: Farm, weights: dict[str, str], port: int) -> None:
    breakpoints.arm(armed.breakpoints, "run", "training")
    job_id = submit(armed, "redis-away")
    armed.reached()
    with followed(armed, port, job_id) as seen:
        armed.valkey.process.kill()
        armed.valkey.process.wait()
        breakpoints.let_go(armed.breakpoints)
        body = {"spec": pipeline(armed.folder, "refused"), "params": {}}
        answer = httpx.post(f"http://127.0.0.1:{port}/jobs", json=body, headers=BEARER, timeout=HANGS_S)
        armed.restart_valkey(away_s=AWAY_S)
        wait_completed(armed, job_id)

    assert (answer.status_code, answer.json()["error"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
    assert seen == [record["id"] for record in log_of(armed.parts, job_id)]
    assert_sound(armed, job_id, "redis-away", weights)


def test_redis_freezes_while_a_training_runs(armed: Farm, weights: dict[str, str], port: int) -> None:
    breakpoints.arm(armed.breakpoints, "run", "training")
    job_id = submit(armed, "redis-frozen")
    armed.reached()
    with followed(armed, port, job_id) as seen:
        with frozen(armed.valkey.process.pid):
            breakpoints.let_go(armed.breakpoints)
            time.sleep(AWAY_S)
        wait_completed(armed, job_id)

    assert seen == [record["id"] for record in log_of(armed.parts, job_id)]
    assert_sound(armed, job_id, "redis-frozen", weights)


def test_the_object_store_goes_away_while_a_training_runs(armed: Farm, weights: dict[str, str], port: int) -> None:
    breakpoints.arm(armed.breakpoints, "run", "training")
    job_id = submit(armed, "store-away")
    armed.reached()
    with followed(armed, port, job_id) as seen:
        armed.s3.process.kill()
        armed.s3.process.wait()
        breakpoints.let_go(armed.breakpoints)
        upload = {"file": ("rows.jsonl", b'{"text": "hi", "label": "ham"}\n')}
        answer = httpx.post(f"http://127.0.0.1:{port}/datasets", files=upload, headers=BEARER, timeout=HANGS_S)
        armed.restart_s3(away_s=AWAY_S)
        wait_completed(armed, job_id)

    assert (answer.status_code, answer.json()["error"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
    assert {node.attempt for node in armed.parts.state.job(job_id).nodes.values()} == {1}
    assert seen == [record["id"] for record in log_of(armed.parts, job_id)]
    assert_sound(armed, job_id, "store-away", weights)


def test_the_api_goes_away_while_a_job_runs(armed: Farm, weights: dict[str, str]) -> None:
    port = free_port()
    api = armed.start_api(port)
    breakpoints.arm(armed.breakpoints, "run", "training")
    job_id = submit(armed, "api-away")
    armed.reached()
    with followed(armed, port, job_id) as seen:
        api.process.kill()
        api.process.wait()
        breakpoints.let_go(armed.breakpoints)
        wait_completed(armed, job_id)
        api = armed.start_api(port)
    api.stop()

    assert seen == [record["id"] for record in log_of(armed.parts, job_id)]
    assert_sound(armed, job_id, "api-away", weights)
