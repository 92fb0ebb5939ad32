"""A worker's supervisor: holds the lease of what the worker runs, ends the worker when it does not stop in time.

Light agents run in the worker's own process. Whatever one of them does there, loop in C, catch every exception or end
the process, the supervisor is another process: it keeps the lease, writes how the attempt ended, and starts a new
worker in the same place.
"""

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

import structlog
from redis import RedisError

from agents.base.errors import Fenced, NotFound, TunelineError
from agents.base.system import die_with_parent, resident_bytes
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.orchestrator import Orchestrator
from pipelines.engine.state.job import NodeEvent, Stopped
from pipelines.engine.state.registration import Registration
from pipelines.engine.worker.child import kill_group
from pipelines.engine.worker.endings import held_too_much, process_died, ran_too_long
from pipelines.engine.worker.lease import Held, LeaseKeeper
from pipelines.engine.worker.patience import patiently
from pipelines.engine.worker.slot import AttemptSlot
from pipelines.engine.worker.workplace import Limits

log = structlog.get_logger()
#: Past the grace time of an agent in a process of its own, which the worker ends, or of a report that is being written.
SLACK_S = 5.0
#: A worker that lived for less did not come to work: the next one waits longer and longer.
SHORT_LIFE_S = 5.0
PAUSE_FIRST_S, PAUSE_MOST_S = 0.1, 5.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: What the worker's process does, with the slot that it puts its attempts into.
Work = Callable[[AttemptSlot], None]


class Supervisor:
    """Keeps one worker process running until it is told to stop."""

    def __init__(
        self,
        work: Work,
        orchestrator: Orchestrator,
        registration: Registration,
        limits: Limits,
        *,
        alive: Connection | None,
    ) -> None:
        """`alive`: the end of a pipe whose other end closes when this worker's fleet is gone."""
        self._work = work
        self._orchestrator = orchestrator
        self._registration = registration
        self._limits = limits
        self._alive = [alive] if alive else []
        self._slot = AttemptSlot()
        self._keeper = LeaseKeeper(orchestrator.state.connection, self._slot, ttl_s=limits.lease_ttl_s)
        self._worker: BaseProcess | None = None
        self._leaving_since: float | None = None
        self._bloated = False

    def run(self) -> None:
        """Keep a worker running until SIGTERM, SIGINT or the fleet's end, then let it end in order."""
        pause_s = 0.0
        with self._told_by_signals():
            while self._leaving_since is None:
                self._registration.beat()
                started = time.monotonic()
                worker = self._start()
                self._watch(worker)
                self._write_end(worker.exitcode)
                if self._leaving_since is None:
                    log.warning("worker_replaced", exit_code=worker.exitcode)
                    lived_s = time.monotonic() - started
                    pause_s = 0.0 if lived_s > SHORT_LIFE_S else min(PAUSE_MOST_S, max(PAUSE_FIRST_S, pause_s * 2))
                    self._rest(pause_s)
        self._registration.leave()

    # -- the worker's process --------------------------------------------------------------------

    def _start(self) -> BaseProcess:
        with _blocked():
            # From here, where nothing but this loop runs: a fork shares the memory of what is imported.
            context = multiprocessing.get_context("fork")
            worker = context.Process(target=_be_worker, args=(self._work, self._slot, os.getpid()))
            worker.start()
            self._worker = worker
        return worker

    def _watch(self, worker: BaseProcess) -> None:
        """Return once the worker has ended, by itself or because it did not stop in time."""
        self._bloated = False
        while worker.sentinel not in self._wait(worker.sentinel, self._limits.lease_renew_s):
            self._registration.beat()
            held = self._keeper.look()
            self._bloated |= self._is_bloated(worker, held)
            if self._bloated or self._is_overdue(held):
                log.warning("worker_killed", pid=worker.pid)
                kill_group(worker)
        # Also what its agents started and left running; before it is joined, while its id is its own.
        kill_group(worker)
        worker.join()
        self._worker = None

    def _wait(self, sentinel: int | None, timeout_s: float) -> list[object]:
        found = wait([*self._alive, *([sentinel] if sentinel is not None else [])], timeout=timeout_s)
        if any(pipe in found for pipe in self._alive):
            self._alive = []
            self._leave()
        return list(found)

    def _rest(self, pause_s: float) -> None:
        deadline = time.monotonic() + pause_s
        while self._leaving_since is None and (left_s := deadline - time.monotonic()) > 0:
            self._registration.beat()
            self._wait(None, min(left_s, self._limits.lease_renew_s))

    def _is_overdue(self, held: Held | None) -> bool:
        """Say whether what the worker runs, or the worker itself, has had its time to stop."""
        now, grace_s = time.monotonic(), self._limits.stop_grace_s
        if held is not None and held.running.phase != "works":
            grace_s += SLACK_S
        if self._leaving_since is not None and now - self._leaving_since > grace_s:
            return True
        if held is None or held.stop_reason is None or held.running.phase == "reports":
            return False
        return now - held.stopped_at > grace_s

    def _is_bloated(self, worker: BaseProcess, held: Held | None) -> bool:
        if held is None or held.running.phase != "works" or worker.pid is None:
            return False
        return resident_bytes(worker.pid) > self._limits.light_memory_bytes

    # -- stopping --------------------------------------------------------------------------------

    @contextmanager
    def _told_by_signals(self) -> Iterator[None]:
        def told(_number: int, _frame: FrameType | None) -> None:
            self._leave()

        before = {number: signal.signal(number, told) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _leave(self) -> None:
        """Pass the wish on: a light node ends, a heavy one saves a checkpoint and is handed back."""
        self._leaving_since = self._leaving_since or time.monotonic()
        if self._worker is not None and self._worker.pid:
            os.kill(self._worker.pid, signal.SIGTERM)

    # -- what a worker left ----------------------------------------------------------------------

    def _write_end(self, exit_code: int | None) -> None:
        """Write how the attempt ended that a worker died with."""
        held = self._keeper.held()
        self._slot.turn("idle")
        if held is None:
            return
        attempt = AttemptId.parse(held.running.key)
        shutil.rmtree(self._limits.work_root / held.running.key, ignore_errors=True)
        log.warning("attempt_died", attempt=attempt.key(), exit_code=exit_code, stop=held.stop_reason)
        try:
            patiently(lambda: self._report(attempt, held, exit_code))
        except (Fenced, NotFound):
            # Its own report had been written, or somebody else has the node now.
            return
        except (RedisError, TunelineError, ValueError) as fault:
            # Its lease runs out.
            log.warning("end_not_written", attempt=attempt.key(), message=str(fault))

    def _report(self, attempt: AttemptId, held: Held, exit_code: int | None) -> None:
        if held.stop_reason == "lost":
            return
        event = self._event(attempt, held, exit_code)
        if event is None:
            self._orchestrator.lease_lost(attempt)
        else:
            self._orchestrator.node_ended(attempt.job, event, [])

    def _event(self, attempt: AttemptId, held: Held, exit_code: int | None) -> NodeEvent | None:
        """Return how the attempt ended; None: nobody knows, so that it is as if its lease had run out."""
        node, reason = self._orchestrator.state.node(attempt), held.stop_reason
        error: TunelineError
        if reason == "timed_out":
            error = ran_too_long(node)
        elif reason is not None or self._leaving_since is not None:
            return Stopped(node.name, attempt.attempt)
        elif self._bloated:
            error = held_too_much(node.name, self._limits.light_memory_bytes)
        elif held.running.phase != "works" or exit_code == -signal.SIGKILL:
            # Killed from outside, perhaps for want of memory, or beside its agent.
            return None
        else:
            error = process_died(node.name, exit_code)
        return self._orchestrator.failure(node.name, attempt.attempt, error.as_record(), error.retryable, {})


def _be_worker(work: Work, slot: AttemptSlot, supervisor: int) -> None:
    """Be the worker's process: the leader of a group, so that all it starts can be ended with it."""
    os.setpgid(0, 0)
    die_with_parent(supervisor, signal.SIGKILL)
    # Until it takes messages there is nothing to end in order.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C reaches the supervisor, and an agent's timer must not end the process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    work(slot)


@contextmanager
def _blocked() -> Iterator[None]:
    """A stop that comes while a worker is started is passed on once it is there."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
