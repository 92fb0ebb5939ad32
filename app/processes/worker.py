"""The worker process: takes messages from its queues and runs them."""

import gc
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Sequence
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

from app.settings import Settings
from app.wiring import Parts, build_parts, work_root, worker_name
from pipelines.engine.process_log import configure_process_log
from pipelines.engine.state.queue import run_worker
from pipelines.engine.worker.child import share_forkserver
from pipelines.engine.worker.runner import AttemptRunner

#: Past the grace time of its agent a worker still has to report.
STOP_SLACK_S = 10.0


@cache
def _parts() -> Parts:
    return build_parts(Settings(), patient=True)


@cache
def _runner() -> AttemptRunner:
    return _parts().runner(worker_name())


def work(queues: Sequence[str], *, burst: bool = False) -> None:
    """Be a worker for `queues` until SIGTERM or SIGINT; `burst`: until they are empty.

    Raises:
        Unavailable: Redis or the object store doesn't answer.
    """
    configure_process_log()
    parts = _parts()
    parts.check()
    remove_left_over_work(work_root(parts.settings))
    stop = threading.Event()
    # With parts of its own: it must go on looking while an object store that is away keeps the worker waiting.
    sweeper = threading.Thread(
        target=build_parts(parts.settings).sweeper.run,
        args=(stop, parts.settings.sweep_interval_s),
        name="sweeper",
        daemon=True,
    )
    sweeper.start()
    # What the imports made stays: without this, each full collection would walk through all of it, between two nodes.
    gc.collect()
    gc.freeze()
    try:
        run_worker(queues, parts.connection, worker_name(), _runner().run, _runner().shut_down, burst=burst)
    finally:
        stop.set()
        sweeper.join()


def work_in_fleet(queues: Sequence[str], environment: dict[str, str], alive: Connection) -> None:
    """Be a worker in a process that a fleet started: end in order when the fleet is gone."""
    # Ctrl-C in a terminal reaches its whole process group: the fleet alone decides what becomes of its workers.
    os.setpgrp()
    os.environ.update(environment)
    share_forkserver()
    patience_s = _parts().settings.stop_grace_s + STOP_SLACK_S
    threading.Thread(target=_stop_without, args=(alive, patience_s), daemon=True).start()
    work(queues)


def remove_left_over_work(root: Path) -> None:
    """Remove the work folders of workers of this host that were killed."""
    for folder in root.glob(f"{socket.gethostname()}-*"):
        if not Path("/proc", folder.name.rpartition("-")[2]).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _stop_without(alive: Connection, patience_s: float) -> None:
    """End this worker once the fleet's end of the pipe is closed: gently, then firmly."""
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(patience_s)
        os._exit(1)
