"""A fleet: the worker processes of one host, started, watched, replaced, and scaled by queue.

All of them come from one forkserver that imports the heavy libraries once, and share its memory.
"""

import multiprocessing
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import structlog
from redis import RedisError

from app.processes.worker import STOP_SLACK_S, work_in_fleet
from app.settings import Settings
from app.state_folder import make_private
from app.wiring import Parts
from pipelines.engine.worker.child import warm_forkserver

log = structlog.get_logger()
LOOK_EVERY_S = 0.5


@dataclass
class WorkerProcess:
    """One worker: its process, and the pipe whose end tells it that the fleet is gone."""

    process: BaseProcess
    alive: Connection


class Fleet:
    """Keeps as many workers per queue as are wanted: `counts`, or what `PUT /queues/{name}` said since."""

    def __init__(self, parts: Parts, counts: Mapping[str, int]) -> None:
        self._parts = parts
        self._counts = dict(counts)
        self._workers: dict[str, list[WorkerProcess]] = {queue: [] for queue in counts}
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

    def _follow(self) -> None:
        for queue, wanted in self._wanted().items():
            workers = self._workers[queue]
            for dead in [worker for worker in workers if not worker.process.is_alive()]:
                log.warning("worker_ended", queue=queue, pid=dead.process.pid, exit_code=dead.process.exitcode)
                workers.remove(dead)
            try:
                while len(workers) < wanted:
                    workers.append(self._start(queue))
            except (EOFError, OSError) as fault:
                # The forkserver was killed; the next look starts another.
                log.warning("worker_not_started", queue=queue, message=str(fault))
            if len(workers) > wanted:
                leaving, self._workers[queue] = workers[wanted:], workers[:wanted]
                threading.Thread(target=self._end, args=(leaving,), daemon=True).start()

    def _wanted(self) -> dict[str, int]:
        try:
            said = self._parts.fleet.wanted()
        except RedisError:
            return self._counts
        return {queue: said.get(queue, count) for queue, count in self._counts.items()}

    def _start(self, queue: str) -> WorkerProcess:
        warm_forkserver()
        ours, theirs = multiprocessing.Pipe()
        environment = {name: value for name, value in os.environ.items() if name.startswith("TUNELINE_")}
        process = self._forkserver.Process(target=work_in_fleet, args=([queue], environment, theirs))
        process.start()
        theirs.close()
        return WorkerProcess(process, ours)

    def _end(self, workers: list[WorkerProcess]) -> None:
        for worker in workers:
            if worker.process.is_alive():
                worker.process.terminate()
        for worker in workers:
            worker.process.join(self._parts.settings.stop_grace_s + STOP_SLACK_S)
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
