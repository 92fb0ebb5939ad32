"""The worker: a process that supervises, and one below it that takes messages from its queues and runs them."""

import gc
import os
import shutil
import socket
import threading
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from app.settings import Settings
from app.wiring import build_parts, work_root, worker_name
from pipelines.engine.process_log import configure_process_log
from pipelines.engine.state.message_loop import run_worker
from pipelines.engine.state.registration import Registration
from pipelines.engine.worker.child import share_forkserver
from pipelines.engine.worker.slot import AttemptSlot
from pipelines.engine.worker.supervisor import Supervisor

#: Past the grace time of its agent a worker still has to report.
STOP_SLACK_S = 10.0


def work(queues: Sequence[str], *, alive: Connection | None = None) -> None:
    """Be a worker for `queues` until SIGTERM or SIGINT, or until the other end of the pipe `alive` is closed.

    This process supervises; the work is done in one that it starts, and replaces where it dies or does not stop.
    """
    configure_process_log()
    settings, name = Settings(), worker_name()
    remove_left_over_work(work_root(settings))
    # Without tries of its own: while Redis is away the supervisor still has to look after its worker.
    parts = build_parts(settings, redis_retries=0)
    supervisor = Supervisor(
        partial(run_messages, name, tuple(queues)),
        parts.orchestrator,
        Registration(parts.connection, name, queues),
        parts.limits(name),
        alive=alive,
    )
    supervisor.run()


def run_messages(name: str, queues: Sequence[str], slot: AttemptSlot) -> None:
    """Take messages and run their attempts, in the worker's own process; what runs stands in `slot`."""
    parts = build_parts(Settings(), patient=True)
    stop = threading.Event()
    # With parts of its own: it must go on looking while an object store that is away keeps the worker waiting.
    sweeper = threading.Thread(
        target=build_parts(parts.settings).sweeper.run,
        args=(stop, parts.settings.sweep_interval_s),
        name="sweeper",
        daemon=True,
    )
    sweeper.start()
    runner = parts.runner(name, slot)
    # What the imports made stays: without this, each full collection would walk through all of it, between two nodes.
    gc.collect()
    gc.freeze()
    try:
        run_worker(queues, parts.connection, runner.run, runner.shut_down)
    finally:
        stop.set()
        sweeper.join()


def work_in_fleet(queues: Sequence[str], environment: dict[str, str], alive: Connection) -> None:
    """Be a worker in a process that a fleet started: end in order when the fleet is gone."""
    # Ctrl-C in a terminal reaches its whole process group: the fleet alone decides what becomes of its workers.
    os.setpgrp()
    os.environ.update(environment)
    share_forkserver()
    work(queues, alive=alive)


def remove_left_over_work(root: Path) -> None:
    """Remove the work folders of workers of this host that were killed."""
    for folder in root.glob(f"{socket.gethostname()}-*"):
        if not Path("/proc", folder.name.rpartition("-")[2]).exists():
            shutil.rmtree(folder, ignore_errors=True)
