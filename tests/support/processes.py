"""Real worker processes for tests, and waiting for what a job's log says instead of for time."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.wiring import Parts
from pipelines.engine.state import keys

PATIENCE_S = 60.0
WORK = "from app.processes.worker import work; work(['default'])"


@contextmanager
def worker_processes(count: int = 1) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start workers with the settings of the environment; kill what is left of them in the end."""
    workers = [subprocess.Popen([sys.executable, "-c", WORK]) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()


def wait_for(parts: Parts, job_id: str, event: str, **wanted: Any) -> dict[str, Any]:
    """Return the first log record with this event and these fields; records are read as they come."""
    cursor, deadline = "0-0", time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = parts.connection.xread({keys.log(job_id): cursor}, block=1000)
        for stream_id, entry in found[0][1] if found else []:
            cursor = stream_id.decode()
            fields = json.loads(entry[b"fields"])
            if entry[b"event"].decode() == event and wanted.items() <= fields.items():
                return fields
    said = [record["event"] for record in parts.logs.read(job_id)]
    raise AssertionError(f"{job_id} never said {event} {wanted}; it said {said}")


def is_alive(pid: int) -> bool:
    """Say whether a process runs (a zombie doesn't)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    """Return once a process has ended."""
    deadline = time.monotonic() + PATIENCE_S
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = poll.poll((deadline - time.monotonic()) * 1000)
    os.close(descriptor)
    assert ended, f"process {pid} still runs"
