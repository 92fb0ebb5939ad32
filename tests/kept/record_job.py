"""Redis and the bucket as they were when everything stopped: a job was running, others were paused or had ended."""

import re
import signal
import socket
import subprocess
import sys
from typing import Any

from fastapi.testclient import TestClient

from agents.base.records import DeviceNeed
from app.api.main import create_app
from app.wiring import Parts
from pipelines.engine import keys
from pipelines.engine.state.queue import run_worker
from pipelines.engine.worker.devices import Device, DevicePool
from tests.kept.dumps import dump, objects_in, write_json, write_tar
from tests.support.processes import wait_for

WORK = "from app.processes.worker import work; work(['default'])"
HOST = "worker-host"
#: The recording machine's name: alone, before a process's number, or at the end of a key.
MACHINE = re.compile(rf"(?<![\w/+]){re.escape(socket.gethostname())}(?=-\d|$)")
RUNNING: dict[str, Any] = {
    "first": {"agent": "echo", "config": {"say": "${params.word}", "level": 2}},
    "flaky": {"agent": "fail", "needs": ["first"], "config": {"kind": "memory", "times": 1}},
    "lost": {"agent": "light_wait", "needs": ["first"]},
    "queued": {"agent": "echo", "needs": ["first"], "config": {"say": "queued"}},
    "taken": {"agent": "echo", "needs": ["first"], "config": {"say": "taken"}},
    "other": {
        "agent": "echo",
        "needs": ["first"],
        "queue": "training",
        "matrix": {"say": ["x", "y z"], "level": [1, 2]},
    },
    "skipped": {"agent": "echo", "needs": ["first"], "when": {"output": "first.level", "at_most": 1}},
    "version": {
        "agent": "version",
        "needs": ["flaky", "lost", "queued", "taken", "other"],
        "when": {"output": "first.level", "at_least": 2},
    },
}


def record_job(parts: Parts) -> None:
    """Make the jobs, stop everything, and keep it."""
    with TestClient(create_app(parts)) as api:
        ended = [
            submit(parts, api, {"a": {"agent": "echo", "config": {"level": n}}, "v": version_of("a")}) for n in (1, 2)
        ]
        live = api.get(f"/jobs/{ended[1]}/logs").json()
        parts.logs.drop_live(ended[1])
        failed = submit(parts, api, {"a": {"agent": "echo"}, "b": {"agent": "fail", "needs": ["a"]}})
        paused = submit(
            parts,
            api,
            {"a": {"agent": "echo", "config": {"say": "p"}}, "b": {"agent": "echo", "needs": ["a"]}},
            work=False,
        )
        api.post(f"/jobs/{paused}/pause")
        running = submit(parts, api, RUNNING, work=False, params={"word": "old"}, key="kept-key")
        lose_worker(parts, running)
        jobs = {"ended": ended[1], "failed": failed, "paused": paused, "running": running}
        urls = [
            *(f"/jobs/{job}" for job in jobs.values()),
            "/jobs",
            "/models/echo",
            "/models/echo/champion",
            "/queues",
            "/workers",
        ]
        answers = {url: api.get(url).json() for url in urls}
        logs = {
            f"/jobs/{jobs[name]}/logs": api.get(f"/jobs/{jobs[name]}/logs").json() for name in ("failed", "running")
        }
    logs[f"/jobs/{jobs['ended']}/logs"] = live
    write_json("job/answers.json", without_host({"jobs": jobs, "answers": answers, "logs": logs}))
    write_json("job/redis.json", without_host(dump(parts.connection)))
    objects = objects_in(parts.objects, parts.objects.keys(""))
    write_tar("job/objects.tar.gz", {key: without_host(data.decode()).encode() for key, data in objects.items()})
    write_json("job/spec.json", {"name": "echo", "nodes": RUNNING, "params": {"word": "old"}})


def version_of(*needs: str) -> dict[str, Any]:
    return {"agent": "version", "needs": list(needs)}


def submit(
    parts: Parts, api: TestClient, nodes: dict[str, Any], work: bool = True, key: str | None = None, **fields: Any
) -> str:
    """Submit a job over HTTP and work it off, where that is wanted."""
    headers = {"Idempotency-Key": key} if key else {}
    answer = api.post("/jobs", json={"name": "echo", "nodes": nodes, **fields}, headers=headers)
    assert answer.status_code == 202, answer.text
    if work:
        run_worker(["default"], parts.connection, "worker-of-before", lambda: None, burst=True)
    return str(answer.json()["id"])


def lose_worker(parts: Parts, job: str) -> None:
    """Let a worker process take the running job's nodes until one waits, and kill it; a message is lost on the way."""
    worker = subprocess.Popen([sys.executable, "-c", WORK])
    wait_for(parts, job, "waiting")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    nodes = parts.state.job(job).nodes
    states = {name: (state.status, state.attempt) for name, state in nodes.items()}
    assert states["flaky"] == ("waiting", 1), states
    assert states["lost"] == ("running", 1), states
    assert states["queued"] == states["taken"] == ("ready", 1), states
    # As a worker does that is killed after it took the message and before it claimed the attempt.
    number = parts.state.plan(job).nodes["taken"].number
    parts.connection.lrem("rq:queue:default", 0, f"{job}-{number}-1")
    parts.connection.rpush("rq:queue:default:intermediate", f"{job}-{number}-1")
    devices = [Device(0, "GPU-00000000-0000-0000-0000-000000000000", "a device", 24576, 24000)]
    pool = DevicePool(parts.connection, socket.gethostname(), lambda: devices, wait_s=0, default_mib=0)
    pool.report(devices)
    pool.reserve(f"{job}|lost|1", DeviceNeed(mib=2048), devices)
    assert parts.connection.exists(keys.device(devices[0].uuid))


def without_host(value: Any) -> Any:
    """Return a JSON value that doesn't name the machine it was recorded on."""
    if isinstance(value, str):
        return MACHINE.sub(HOST, value)
    if isinstance(value, dict):
        return {without_host(name): without_host(found) for name, found in value.items()}
    return [without_host(found) for found in value] if isinstance(value, list) else value
