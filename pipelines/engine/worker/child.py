"""An agent in a process of its own: start, watch, stop gently, then firmly.

The child comes from a forkserver that has the heavy libraries imported already. Both sides talk in
JSON over a pipe; when the worker dies the pipe breaks and the child ends itself.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from agents.base.errors import StopKind
from agents.base.strict_json import encode
from pipelines.engine.process_log import configure_process_log
from pipelines.engine.worker.agent_task import AgentTask
from pipelines.engine.worker.context import AttemptContext
from pipelines.engine.worker.endings import process_died
from pipelines.engine.worker.lease import Lease
from pipelines.engine.worker.libraries import tame
from pipelines.engine.worker.run_agent import Outcome, run_agent

#: Imported by the forkserver once, so that every child starts with torch at hand.
WARM_MODULES = ["pipelines.engine.worker.warm"]
POLL_S = 0.1


def share_forkserver() -> None:
    """In a process that came from a forkserver: have its own children come from that one too.

    CPython means it so (`ForkServer.ensure_running` says "a child process will just reuse the forkserver
    started by its parent") but starts a new one, without the modules that the first has imported.
    """
    server: Any = forkserver._forkserver
    if server._forkserver_address is not None:
        server.ensure_running = resource_tracker.ensure_running


def warm_forkserver() -> None:
    """Have a forkserver that imports the heavy libraries; where one runs, nothing happens."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(WARM_MODULES)
    # Starting this tracker unblocks the very signal that is to be blocked below.
    resource_tracker.ensure_running()
    with _interrupts_blocked():
        forkserver.ensure_running()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Ctrl-C in a terminal reaches every process: while it imports, a new one would print a traceback and die."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _started_afresh(target: Callable[[Connection], None], pipe: Connection) -> BaseProcess:
    """Start a process with an interpreter of its own: what CUDA has once seen in a forkserver no fork can change."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=(pipe,), daemon=False)
    resource_tracker.ensure_running()
    with _interrupts_blocked():
        process.start()
    return process


def _started(target: Callable[[Connection], None], pipe: Connection) -> BaseProcess:
    """Start a process from the forkserver; from a new one if the shared one has died."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=target, args=(pipe,), daemon=False)
    try:
        process.start()
    except (ConnectionError, FileNotFoundError):
        vars(forkserver._forkserver).pop("ensure_running", None)
        warm_forkserver()
        process = context.Process(target=target, args=(pipe,), daemon=False)
        process.start()
    return process


@dataclass
class AgentProcess:
    """One agent run in a child process."""

    agent_path: str
    config: dict[str, Any]
    context: AttemptContext
    lease: Lease
    """Says when the agent is to stop; past the grace time, or at once where it is lost, the process is killed."""
    grace_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    """Set before the agent imports anything; a process that needs some does not come from the forkserver."""
    _stop_asked_at: float | None = None

    def run(self) -> Outcome:
        """Run the agent to its end and return what became of it. Its process is gone on return."""
        ours, theirs = multiprocessing.Pipe()
        start = _started_afresh if self.environment else _started
        process = start(_child_main, theirs)
        theirs.close()
        with _ended(process), ours:
            task = AgentTask.of(self.agent_path, self.config, self.environment, self.context)
            ours.send_bytes(json.dumps(task.model_dump(mode="json")).encode())
            return self._watch(ours, process)

    def _watch(self, pipe: Connection, process: BaseProcess) -> Outcome:
        while True:
            try:
                if pipe.poll(POLL_S):
                    record = json.loads(pipe.recv_bytes())
                    if record["kind"] == "ended":
                        return Outcome.from_record(record)
                    self.context.emit(record)
                self._pass_on_stop(pipe, process)
            except (EOFError, ConnectionResetError, BrokenPipeError):
                process.join()
                return self._died(process.exitcode)

    def _pass_on_stop(self, pipe: Connection, process: BaseProcess) -> None:
        stop = self.lease.stop_wanted()
        if stop is None:
            return
        if self._stop_asked_at is None:
            self._stop_asked_at = time.monotonic()
            pipe.send_bytes(stop.encode())
        if self.lease.stop_reason == "lost" or time.monotonic() - self._stop_asked_at > self.grace_s:
            kill_group(process)

    def _died(self, exit_code: int | None) -> Outcome:
        if stop := self.lease.stop_wanted():
            return Outcome(stopped=stop)
        return Outcome(error=process_died(self.context.node, exit_code).as_record(), retryable=True)


@contextmanager
def _ended(process: BaseProcess) -> Iterator[None]:
    """See to it that the process is gone, and its memory given back, on the way out."""
    try:
        yield
    finally:
        process.join(timeout=2)
        # Also what the agent started and left running.
        kill_group(process)
        process.join()
        process.close()


def kill_group(process: BaseProcess) -> None:
    """Kill a process and all that it started, where it leads a group of its own."""
    assert process.pid, "it was started"
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # It may not have come to leading a group yet.
    process.kill()


# -- the child's side -------------------------------------------------------------------------


def _child_main(pipe: Connection) -> None:
    # The leader of a group of its own, so that all it starts can be ended with it.
    os.setpgrp()
    # Ctrl-C in a terminal reaches every process: the worker alone decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    configure_process_log()
    task = AgentTask.model_validate(json.loads(pipe.recv_bytes()))
    if task.environment:
        # An interpreter of its own; one from the forkserver has had this done.
        tame()
        os.environ.update(task.environment)
    stop: list[StopKind] = []
    threading.Thread(target=_listen, args=(pipe, stop), daemon=True).start()
    lock = threading.Lock()

    def emit(record: dict[str, Any]) -> None:
        with lock:
            pipe.send_bytes(encode(record).text.encode())

    context = task.make_context(emit, lambda: stop[0] if stop else None)
    emit({"kind": "ended", **run_agent(task.agent_path, task.config, context).as_record()})
    pipe.close()
    # Threads of native libraries may hang at exit; all that counts has been sent.
    os._exit(0)


def _listen(pipe: Connection, stop: list[StopKind]) -> None:
    try:
        while True:
            stop.append(pipe.recv_bytes().decode())  # type: ignore[arg-type]
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)
