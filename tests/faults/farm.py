"""A small farm to strike at: Valkey and S3 on fixed ports, workers from one forkserver, breakpoints between them."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import psutil

from app.processes.embedded import http_answers, start_s3, start_valkey
from app.processes.fleet import WorkerProcess
from app.processes.server import Server, launch
from app.processes.worker import work_in_fleet
from app.settings import Settings
from app.wiring import Parts, build_parts
from pipelines.engine.worker.child import WARM_MODULES
from tests.faults import breakpoints
from tests.support.door import write_token

PATIENCE_S = 60.0
KEYS = ("fault-key", "fault-secret")
#: Each evaluation would import them anew, for longer than all the rest of it takes.
DRAWING_MODULES = ("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
QUEUES = ["default", "training", "evaluation"]


@dataclass
class Farm:
    """Two workers, both on every queue, and the servers they lean on."""

    folder: Path
    valkey: Server
    s3: Server
    parts: Parts
    workers: dict[int, WorkerProcess] = field(default_factory=dict)

    @property
    def breakpoints(self) -> Path:
        return self.folder / "breakpoints"

    @property
    def log(self) -> str:
        """What all worker and agent processes wrote so far."""
        return (self.folder / "workers.log").read_text()

    # -- workers -------------------------------------------------------------------------------

    def staff(self, count: int = 2) -> None:
        """Replace dead workers until `count` live."""
        for pid, worker in list(self.workers.items()):
            if not worker.process.is_alive():
                worker.process.join()
                worker.alive.close()
                del self.workers[pid]
        while len(self.workers) < count:
            ours, theirs = multiprocessing.Pipe()
            environment = {name: value for name, value in os.environ.items() if name.startswith("TUNELINE_")}
            context = multiprocessing.get_context("forkserver")
            process = context.Process(target=work_in_fleet, args=(QUEUES, environment, theirs))
            process.start()
            theirs.close()
            assert process.pid
            self.workers[process.pid] = WorkerProcess(process, ours)

    def reached(self) -> int:
        """Wait until a process stands at the armed moment; return its id."""
        found = self.breakpoints / "reached"
        until(found.exists, "no process came to the moment")
        return int(found.read_text())

    @staticmethod
    def family(worker: int) -> list[int]:
        """Return a worker's supervisor, and the process below it that runs attempts."""
        return [worker, *(child.pid for child in psutil.Process(worker).children())]

    def children(self) -> set[int]:
        """Return every living process of the forkserver's but the workers."""
        found = psutil.Process(forkserver._forkserver._forkserver_pid).children()  # type: ignore[attr-defined]
        return {child.pid for child in found if alive(child.pid)} - self.workers.keys()

    # -- servers -------------------------------------------------------------------------------

    def restart_valkey(self, away_s: float = 0.0) -> None:
        """Kill Valkey with -9 and start it from its append-only file, on the same port."""
        self.valkey.process.kill()
        self.valkey.process.wait()
        time.sleep(away_s)
        self.valkey = start_valkey(self.folder / "valkey", self.valkey.port)
        until(self._loaded, "Valkey did not load its file")

    def restart_s3(self, away_s: float = 0.0) -> None:
        """Kill the S3 server with -9 and start it on the same port."""
        self.s3.process.kill()
        self.s3.process.wait()
        time.sleep(away_s)
        self.s3 = start_s3(self.folder / "s3", *KEYS, self.s3.port)

    def start_api(self, port: int) -> Server:
        """Start the API and return once it answers."""
        command, folder = [sys.executable, "-m", "app.cli", "api"], self.folder / "api"
        environment = {"TUNELINE_API_PORT": str(port)}
        return launch("API", command, folder, port, lambda: http_answers(port), environment).wait_until_ready()

    def _loaded(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(self.parts.connection.ping())
        return False


@contextmanager
def farm(folder: Path, environment: dict[str, str]) -> Iterator[Farm]:
    """Start a farm; `environment` adds to its settings. All its processes end with it."""
    valkey, s3 = start_valkey(folder / "valkey"), start_s3(folder / "s3", *KEYS)
    (folder / "breakpoints").mkdir()
    settings = {
        breakpoints.FOLDER: str(folder / "breakpoints"),
        "TUNELINE_REDIS_URL": f"redis://127.0.0.1:{valkey.port}",
        "TUNELINE_S3_ENDPOINT_URL": f"http://127.0.0.1:{s3.port}",
        "TUNELINE_S3_ACCESS_KEY": KEYS[0],
        "TUNELINE_S3_SECRET_KEY": KEYS[1],
        "TUNELINE_STATE_DIR": str(folder / "state"),
        "TUNELINE_DATA_ROOTS": str(folder),
        "TUNELINE_LEASE_TTL_S": "1.0",
        "TUNELINE_LEASE_RENEW_S": "0.1",
        "TUNELINE_SWEEP_INTERVAL_S": "0.1",
        "TUNELINE_STOP_GRACE_S": "5",
        **environment,
    }
    before = dict(os.environ)
    os.environ.update(settings)
    write_token(folder / "state")
    _start_forkserver(folder / "workers.log")
    built = build_parts(Settings(_env_file=None))
    built.check()
    made = Farm(folder, valkey, s3, built)
    try:
        yield made
    finally:
        for pid in {*made.workers, *made.children()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        made.staff(0)
        _end_forkserver()
        built.connection.close()
        made.valkey.stop()
        made.s3.stop()
        os.environ.clear()
        os.environ.update(before)


def _end_forkserver() -> None:
    """End the forkserver there is, whatever processes hold its pipe; those that came from it go on."""
    running = forkserver._forkserver  # type: ignore[attr-defined]
    if running._forkserver_pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running._forkserver_pid, signal.SIGKILL)
    running._stop()


def _start_forkserver(log: Path) -> None:
    """Start a forkserver that has the breakpoints, with its standard error in a file."""
    _end_forkserver()
    modules = [*WARM_MODULES, *DRAWING_MODULES, "tests.faults.breakpoints"]
    multiprocessing.get_context("forkserver").set_forkserver_preload(modules)
    kept = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
        try:
            forkserver.ensure_running()
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def until(holds: Any, otherwise: str, patience_s: float = PATIENCE_S) -> None:
    """Return once `holds()` is true.

    Raises:
        AssertionError: it never was.
    """
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise)
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Say whether a process runs (a zombie doesn't)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def log_of(parts: Parts, job_id: str) -> list[dict[str, Any]]:
    """Return a job's whole log, from the stream."""
    records: list[dict[str, Any]] = []
    while page := parts.logs.read(job_id, records[-1]["id"] if records else "0-0"):
        records += page
    return records


def wait_completed(farm_: Farm, job_id: str) -> None:
    """Return once a job has completed.

    Raises:
        AssertionError: it ended otherwise, or not at all; with the end of its log.
    """
    ended = ("job_completed", "job_failed", "job_cancelled")

    def has_ended() -> bool:
        # As a fleet does; a worker that was told to stop may end only now.
        farm_.staff()
        return any(says(farm_, job_id, event) for event in ended)

    with contextlib.suppress(AssertionError):
        until(has_ended, "it never ended")
    assert says(farm_, job_id, "job_completed"), dump(log_of(farm_.parts, job_id)[-12:])


def says(farm_: Farm, job_id: str, event: str) -> bool:
    """Say whether a job's log has an event; not while its server is away."""
    with contextlib.suppress(Exception):
        return any(record["event"] == event for record in log_of(farm_.parts, job_id))
    return False


def dump(value: Any) -> str:
    """Return a value as JSON a person can read, for a failed check."""
    return json.dumps(value, indent=1, default=str)


__all__ = ["Farm", "alive", "dump", "farm", "log_of", "says", "until", "wait_completed"]
