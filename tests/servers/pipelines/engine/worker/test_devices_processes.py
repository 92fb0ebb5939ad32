"""Devices lent to real worker processes; `nvidia-smi` is a script that prints a table."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api.main import create_app
from app.wiring import Parts
from pipelines.engine import keys
from tests.support.agents import echo, spec
from tests.support.processes import wait_for, wait_until_gone, worker_processes

pytestmark = pytest.mark.slow
UUID = "GPU-11111111-2222-3333-4444-555555555555"
TABLE = f"#!/bin/sh\necho '0, {UUID}, NVIDIA H200, 16000, 16000'\n"
Host = Callable[..., None]


@pytest.fixture
def gpu_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a function that gives this host one GPU of 16,000 MiB, and the workers settings."""

    def make(wait_s: float) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "nvidia-smi").write_text(TABLE)
        (folder / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setenv("TUNELINE_DEVICE_WAIT_S", str(wait_s))

    return make


def waiting(mib: int | None = None) -> dict[str, Any]:
    return {"agent": "wait", "config": {"mib": mib}}


def test_two_share_a_device_and_the_third_takes_the_cpu(parts: Parts, gpu_host: Host) -> None:
    gpu_host(wait_s=0)
    with worker_processes(3):
        jobs = [parts.orchestrator.submit(spec({"wait": waiting(6_000)}), {}) for _ in range(3)]
        said = [wait_for(parts, job, "waiting") for job in jobs]
        shown = TestClient(create_app(parts))
        parts.devices.report(parts.probe() or [])
        (host,) = shown.get("/workers").json()["hosts"]
        for job in jobs:
            parts.orchestrator.stop(job, "cancel")
            wait_for(parts, job, "job_cancelled")

    assert sorted((found["devices"], found["mib"]) for found in said if found["mib"]) == [(UUID, 6_000)] * 2
    assert [found["devices"] for found in said if not found["mib"]] == [""]
    assert not any(found["torch"] for found in said), "it could have started CUDA before it was told its devices"
    assert host["host"] == socket.gethostname()
    assert host["devices"][0]["reserved_mib"] == 12_000
    assert not parts.connection.exists(keys.device(UUID))


def test_a_killed_workers_reservation_goes_by_itself(parts: Parts, gpu_host: Host) -> None:
    gpu_host(wait_s=60)
    first_job = parts.orchestrator.submit(spec({"wait": waiting(), "after": echo("wait")}), {})
    with worker_processes() as (first,):
        child = wait_for(parts, first_job, "waiting")["pid"]
        second_job = parts.orchestrator.submit(spec({"wait": waiting()}), {})
        with worker_processes():
            wait_for(parts, second_job, "device_awaited")
            first.kill()
            wait_until_gone(child)
            assert wait_for(parts, second_job, "waiting")["devices"] == UUID
            parts.orchestrator.stop(second_job, "cancel")
            assert wait_for(parts, first_job, "waiting", attempt=2)["devices"] == UUID
            wait_for(parts, first_job, "job_completed")

    assert not parts.connection.exists(keys.device(UUID))


def test_an_attempt_that_waits_for_a_device_can_be_cancelled(
    parts: Parts, gpu_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_host(wait_s=600)
    # Over before the wait looks up: nothing may break into the worker then.
    monkeypatch.setenv("TUNELINE_STOP_GRACE_S", "0.1")
    parts.connection.zadd(keys.LEASES, {"job_other|wait|1": parts.state.clock.now() + 600})
    parts.connection.hset(keys.device(UUID), "job_other|wait|1", '{"mib": 16000, "others_mib": 0}')
    job = parts.orchestrator.submit(spec({"wait": waiting(6_000)}), {})
    with worker_processes():
        wait_for(parts, job, "device_awaited")
        parts.orchestrator.stop(job, "cancel")
        wait_for(parts, job, "job_cancelled")
        parts.connection.zrem(keys.LEASES, "job_other|wait|1")
        after = parts.orchestrator.submit(spec({"wait": waiting(6_000)}), {})
        assert wait_for(parts, after, "waiting")["devices"] == UUID


def test_a_host_without_a_gpu_takes_its_children_from_the_forkserver(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "as it was")
    job = parts.orchestrator.submit(spec({"wait": waiting()}), {})
    with worker_processes():
        said = wait_for(parts, job, "waiting")
        parts.orchestrator.stop(job, "cancel")
        wait_for(parts, job, "job_cancelled")

    assert (said["devices"], said["mib"]) == ("as it was", None)
    assert not [key for key in parts.connection.scan_iter() if b"device" in key]
