"""Servers that forget, are full, refuse, or tell one to wait: each is named, and nothing is written over."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import redis

from agents.base import bucket
from app.processes.embedded import free_port
from tests.faults import breakpoints
from tests.faults.conftest import pipeline, submit
from tests.faults.farm import Farm, until, wait_completed
from tests.faults.soundness import assert_sound
from tests.support.agents import spec
from tests.support.answers import answering, s3_fault
from tests.support.door import BEARER
from tests.support.valkeys import valkey

pytestmark = pytest.mark.slow
#: Longer than any answer may take: a request that hangs fails here.
HANGS_S = 20.0
VERSION = {"v": {"agent": "version", "cache": False}}


@pytest.fixture
def port(struck: Farm) -> Iterator[int]:
    """The port of an API over the farm."""
    found = free_port()
    api = struck.start_api(found)
    yield found
    api.stop()


@pytest.fixture(autouse=True)
def rebuilt(struck: Farm) -> Iterator[None]:
    """Leave a farm whose Redis knows what its bucket holds, also after a test that failed: others go on with it."""
    yield
    struck.parts.registry.rebuild()


def health(port: int) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/health", headers=BEARER, timeout=HANGS_S).json()
    return found


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Tuneline's in the farm's environment."""
    line = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(
        line, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def forget_all(farm: Farm) -> None:
    farm.parts.connection.flushall()


def lose_the_file(farm: Farm) -> None:
    farm.valkey.process.kill()
    farm.valkey.process.wait()
    shutil.rmtree(farm.folder / "valkey" / "appendonlydir")
    farm.restart_valkey()


@pytest.mark.parametrize("lose", [forget_all, lose_the_file])
def test_a_redis_that_forgot_writes_over_no_version(armed: Farm, port: int, lose: Callable[[Farm], None]) -> None:
    parts, name = armed.parts, lose.__name__.replace("_", "-")
    first = submit(armed, name)
    wait_completed(armed, first)
    # Written after the job's end, by whoever comes to it first.
    until(lambda: parts.objects.size(bucket.aliases(name)) is not None, "the aliases were not saved")
    before = {key: parts.objects.get(key) for key in parts.objects.keys(bucket.MODELS)}
    breakpoints.arm(armed.breakpoints, "run", "training")
    submit(armed, name)
    armed.reached()
    lose(armed)
    breakpoints.let_go(armed.breakpoints)

    until(lambda: health(port)["status"] == "degraded", "the API never saw it")
    assert "tuneline registry rebuild" in health(port)["warnings"][0]
    answer = httpx.post(
        f"http://127.0.0.1:{port}/jobs", json={"spec": pipeline(armed.folder, name)}, headers=BEARER, timeout=HANGS_S
    )
    assert (answer.status_code, answer.json()["error"]) == (409, "CONFLICT")
    assert "Redis lost" in answer.json()["message"]
    collected = command("gc", "--apply")
    assert (collected.returncode, "registry rebuild" in collected.stderr) == (1, True), collected.stderr
    assert {key: parts.objects.get(key) for key in parts.objects.keys(bucket.MODELS)} == before

    rebuilt = command("registry", "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert parts.registry.aliases(name) == {"champion": 1}
    again = submit(armed, name)
    wait_completed(armed, again)
    assert parts.registry.versions(name) == [2, 1]
    assert parts.objects.get(bucket.version_manifest(name, 1)) == before[bucket.version_manifest(name, 1)]
    assert health(port)["status"] == "ok"


def test_an_export_on_its_way_while_redis_forgets_is_refused(armed: Farm) -> None:
    """A job that was put back by hand, or came from a backup of jobs alone: its export asks the store itself."""
    parts = armed.parts
    wait_completed(armed, parts.orchestrator.submit(spec(VERSION, name="echo"), {}))
    newest = parts.registry.versions("echo")[0]
    before = parts.objects.get(bucket.version_manifest("echo", newest))
    for key in parts.connection.scan_iter("tuneline:model:echo:*"):
        parts.connection.delete(key)
    job_id = parts.orchestrator.submit(spec(VERSION, name="echo"), {})
    until(lambda: parts.state.head(job_id).status == "failed", "the export was not refused")

    assert "Redis lost data" in str(parts.state.job(job_id).nodes["v"].error)
    assert parts.objects.get(bucket.version_manifest("echo", newest)) == before
    parts.registry.rebuild()
    wait_completed(armed, parts.orchestrator.retry(job_id))
    assert parts.registry.versions("echo")[0] == newest + 1


@contextmanager
def full(farm: Farm) -> Iterator[str]:
    farm.parts.connection.config_set("maxmemory", 1)
    try:
        yield "is full: it has reached its maxmemory"
    finally:
        farm.parts.connection.config_set("maxmemory", 0)


@contextmanager
def without_writes(farm: Farm) -> Iterator[str]:
    admin = _admin(farm)
    admin.execute_command("ACL", "SETUSER", "default", "-@write")
    try:
        yield "refuses the command SET to the user 'default'"
    finally:
        admin.execute_command("ACL", "SETUSER", "default", "+@all")
        admin.close()


@contextmanager
def without_sweeps(farm: Farm) -> Iterator[str]:
    admin = _admin(farm)
    admin.execute_command("ACL", "SETUSER", "default", "-zrangebyscore")
    try:
        yield "refuses the command ZRANGEBYSCORE to the user 'default'"
    finally:
        admin.execute_command("ACL", "SETUSER", "default", "+@all")
        admin.close()


@contextmanager
def turned_into_a_replica(farm: Farm) -> Iterator[str]:
    farm.parts.connection.replicaof("127.0.0.1", free_port())
    try:
        yield "is a replica, which takes no writes"
    finally:
        farm.parts.connection.replicaof("NO", "ONE")


def _admin(farm: Farm) -> redis.Redis:
    """Return a connection whose user may give the rights back."""
    farm.parts.connection.execute_command("ACL", "SETUSER", "admin", "on", "nopass", "~*", "&*", "+@all")
    return redis.Redis(port=farm.valkey.port, username="admin", password="any")


@pytest.mark.parametrize("struck_by", [full, without_writes, without_sweeps, turned_into_a_replica])
def test_a_redis_that_refuses_is_named_and_the_job_goes_on_afterwards(
    armed: Farm, weights: dict[str, str], port: int, struck_by: Callable[[Farm], Any]
) -> None:
    model = struck_by.__name__.replace("_", "-")
    breakpoints.arm(armed.breakpoints, "run", "training")
    job_id = submit(armed, model)
    armed.reached()
    with struck_by(armed) as told:
        breakpoints.let_go(armed.breakpoints)
        until(lambda: told in str(health(port)), f"the API never said that Redis {told}")
        assert health(port)["status"] != "ok"
        if "sweep" not in model:
            answer = httpx.post(
                f"http://127.0.0.1:{port}/jobs",
                json={"spec": pipeline(armed.folder, "refused")},
                headers=BEARER,
                timeout=HANGS_S,
            )
            assert (answer.status_code, answer.json()["error"]) == (503, "UNAVAILABLE")
            assert told.partition(" to the user")[0].partition("command")[0] in answer.json()["message"]
    wait_completed(armed, job_id)

    assert_sound(armed, job_id, model, weights)
    until(lambda: health(port)["status"] == "ok", "the API never was well again")


def test_a_worker_whose_clock_is_twenty_minutes_off_says_so(armed: Farm) -> None:
    theirs = format_datetime(datetime.now(UTC) - timedelta(minutes=20), usegmt=True)
    skewed = s3_fault("RequestTimeTooSkewed", 403, headers={"Date": theirs})
    with answering(lambda *_: skewed) as url:
        said = command("worker", "--queue", "default", TUNELINE_S3_ENDPOINT_URL=url)

    assert said.returncode == 1
    assert "the clocks differ too much" in said.stderr
    assert "20 minutes apart" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_store_that_says_come_back_in_an_hour_holds_no_request(
    armed: Farm, weights: dict[str, str], port: int
) -> None:
    breakpoints.arm(armed.breakpoints, "run", "training")
    job_id = submit(armed, "retry-after")
    armed.reached()
    armed.s3.process.kill()
    armed.s3.process.wait()
    later = s3_fault("SlowDown", 503, headers={"Retry-After": "3600"})
    with answering(lambda *_: later, port=armed.s3.port):
        breakpoints.let_go(armed.breakpoints)
        for path in ("/jobs", "/workers", f"/jobs/{job_id}", "/health", "/models/retry-after/1/card"):
            httpx.get(f"http://127.0.0.1:{port}{path}", headers=BEARER, timeout=HANGS_S)
        assert "is overloaded" in health(port)["checks"]["object_store"]
        files = {"file": ("rows.jsonl", b'{"text": "hi", "label": "ham"}\n')}
        answer = httpx.post(f"http://127.0.0.1:{port}/datasets", files=files, headers=BEARER, timeout=HANGS_S)
    armed.restart_s3()
    wait_completed(armed, job_id)

    assert (answer.status_code, answer.json()["error"]) == (503, "UNAVAILABLE")
    assert_sound(armed, job_id, "retry-after", weights)


def test_a_second_installation_does_not_start_on_this_bucket(armed: Farm) -> None:
    with valkey(armed.folder / "second") as other:
        url = f"redis://127.0.0.1:{other.port}"
        assert command("gc", TUNELINE_REDIS_URL=url, TUNELINE_S3_BUCKET="second").returncode == 0
        said = command("worker", "--queue", "default", TUNELINE_REDIS_URL=url)

    assert said.returncode == 1
    assert "belongs to the bucket 'second'" in said.stderr
    assert "TUNELINE_S3_BUCKET" in said.stderr
