"""A fleet: the worker processes of one host, started, watched, replaced, and scaled by queue.

All of them come from one forkserver that imports the heavy libraries once, and share its memory.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import psutil
import structlog
from redis import RedisError

from app.processes.backoff import Backoff
from app.processes.worker import STOP_SLACK_S, work_in_fleet
from app.settings import Settings
from app.state_folder import make_private
from app.wiring import Parts
from pipelines.engine.worker.child import warm_forkserver

log = structlog.get_logger()
LOOK_EVERY_S = 0.5
ENDED = {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}


@dataclass
class WorkerProcess:
    """One worker: its process, and the pipe whose end tells it that the fleet is gone."""

    process: BaseProcess
    alive: Connection
    started_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._system: psutil.Process | None = None
        # One that has ended by now is no orphan either.
        with suppress(psutil.NoSuchProcess):
            self._system = psutil.Process(self.process.pid)

    def is_orphan(self) -> bool:
        """Say whether it runs though `process` has lost sight of it: the forkserver was killed."""
        with suppress(psutil.Error):
            return self._system is not None and self._system.status() not in ENDED
        return False

    def wait_for_orphan(self, patience_s: float) -> None:
        """Return once it has ended, which the end of its pipe tells it to; past this time it is killed."""
        with suppress(psutil.NoSuchProcess):
            assert self._system, "it is an orphan"
            try:
                self._system.wait(patience_s)
            except psutil.TimeoutExpired:
                self._system.kill()


class Fleet:
    """Keeps as many workers per queue as are wanted: `counts`, or what `PUT /queues/{name}` said since."""

    def __init__(self, parts: Parts, counts: Mapping[str, int]) -> None:
        self._parts = parts
        self._counts = dict(counts)
        self._workers: dict[str, list[WorkerProcess]] = {queue: [] for queue in counts}
        self._orphans: list[WorkerProcess] = []
        self._backoffs = {queue: Backoff() for queue in counts}
        self._not_before = dict.fromkeys(counts, 0.0)
        self._forkserver = multiprocessing.get_context("forkserver")

    def run(self, stop: threading.Event) -> None:
        """Keep the workers running until `stop` is set, then end them in order."""
        threading.Thread(target=self._parts.devices.report_until, args=(stop,), name="devices", daemon=True).start()
        try:
            while True:
                self._follow()
                if stop.wait(LOOK_EVERY_S):
                    return
        finally:
            self.shut_down()

    def shut_down(self) -> None:
        """End all workers: light nodes end, trainings save a checkpoint and are handed back."""
        leaving = [worker for workers in self._workers.values() for worker in workers]
        self._end(leaving)
        self._workers = {queue: [] for queue in self._workers}
        for orphan in self._orphans:
            orphan.wait_for_orphan(self._patience_s)

    @property
    def _patience_s(self) -> float:
        return self._parts.settings.stop_grace_s + STOP_SLACK_S

    def _follow(self) -> None:
        for queue, wanted in self._wanted().items():
            self._bury(queue)
            workers = self._workers[queue]
            try:
                while len(workers) < wanted and time.monotonic() >= self._not_before[queue]:
                    workers.append(self._start(queue))
            except (EOFError, OSError) as fault:
                # The forkserver was killed; the next look starts another.
                log.warning("worker_not_started", queue=queue, message=str(fault))
            if len(workers) > wanted:
                leaving, self._workers[queue] = workers[wanted:], workers[:wanted]
                threading.Thread(target=self._end, args=(leaving,), daemon=True).start()
        self._orphans = [orphan for orphan in self._orphans if orphan.is_orphan()]

    def _bury(self, queue: str) -> None:
        """Take the workers that have ended out of the list; those that take their place wait, after quick ends."""
        ended = [worker for worker in self._workers[queue] if not worker.process.is_alive()]
        self._workers[queue] = [worker for worker in self._workers[queue] if worker not in ended]
        dead = [worker for worker in ended if not worker.is_orphan()]
        for orphan in (worker for worker in ended if worker not in dead):
            log.warning("worker_orphaned", queue=queue, pid=orphan.process.pid)
            orphan.alive.close()
            self._orphans.append(orphan)
        if dead:
            now = time.monotonic()
            wait_s = self._backoffs[queue].ended(min(now - worker.started_at for worker in dead))
            self._not_before[queue] = now + wait_s
        for worker in dead:
            worker.alive.close()
            code = worker.process.exitcode
            log.warning("worker_ended", queue=queue, pid=worker.process.pid, exit_code=code, next_in_s=wait_s)

    def _wanted(self) -> dict[str, int]:
        try:
            said = self._parts.fleet.wanted()
        except RedisError:
            return self._counts
        # What an API with another setting, or an older one, has let somebody ask for is bounded here too.
        most = self._parts.settings.queue_workers_most
        return {queue: min(said[queue], most) if queue in said else count for queue, count in self._counts.items()}

    def _start(self, queue: str) -> WorkerProcess:
        warm_forkserver()
        ours, theirs = multiprocessing.Pipe()
        environment = {name: value for name, value in os.environ.items() if name.startswith("TUNELINE_")}
        process = self._forkserver.Process(target=work_in_fleet, args=([queue], environment, theirs))
        process.start()
        theirs.close()
        return WorkerProcess(process, ours)

    def _end(self, workers: Sequence[WorkerProcess]) -> None:
        for worker in workers:
            if worker.process.is_alive():
                worker.process.terminate()
        for worker in workers:
            worker.process.join(self._patience_s)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.alive.close()


def run_fleet(settings: Settings, parts: Parts, counts: Mapping[str, int], stop: threading.Event) -> None:
    """Run a fleet until `stop` is set.

    Raises:
        Unavailable: Redis or the object store doesn't answer.
    """
    make_private(settings.state_dir)
    parts.check()
    log.info("fleet_started", workers=dict(counts), state_dir=str(settings.state_dir))
    Fleet(parts, counts).run(stop)
