"""The sweeper: finds leases that ran out, retries that are due, and messages that were lost.

Any number of sweepers may run: what one has done the next finds done.
"""

import threading
import time
from collections.abc import Callable, Iterable

import structlog
from redis import Redis, RedisError

from agents.base.errors import NotFound, TunelineError
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.orchestrator import Orchestrator
from pipelines.engine.state import keys
from pipelines.engine.state.installation import SOUND, Installation
from pipelines.engine.state.logs import Logs
from pipelines.engine.state.redis_faults import place_of, redis_error
from pipelines.engine.state.registry import Registry
from pipelines.engine.state.set_aside import give_back, set_aside
from pipelines.engine.state.share import held_by

log = structlog.get_logger()
#: So many sweeps in a row have to fail to be told of: one may, while Redis starts.
FAILED_LEAST = 3
#: Without a sweep for so long, the sweeper stands still.
STILL_S = 30.0
#: How often Redis is asked whether it lost data.
ASK_EVERY_S = 5.0
#: A message that was queued so long ago and is not in its queue either waits in a worker or was lost.
LOST_MESSAGE_S = 5.0
PAGE = 1000
#: How often queues without a message are forgotten.
QUEUES_EVERY_S = 60.0


class Sweeper:
    """Looks once a second at what has a time limit."""

    def __init__(self, orchestrator: Orchestrator, logs: Logs, registry: Registry, *, lease_ttl_s: float) -> None:
        self._orchestrator = orchestrator
        self._state = orchestrator.state
        self._connection: Redis = orchestrator.state.connection
        self._logs = logs
        self._registry = registry
        self._lease_ttl_s = lease_ttl_s
        self._swept_at: float | None = None
        self._cut_off = False
        self._blind_until = 0.0
        self._queues_looked_at: float | None = None
        self._installation = Installation(self._connection, registry.objects)
        self._asked_at = -ASK_EVERY_S
        self._standing = SOUND
        self._failed = 0
        self._reason = ""
        self._ran_at: float | None = None

    def sweep(self) -> int:
        """Look once; return how many things were put right.

        An entry that can't be handled is set aside and shown in `GET /health`; the first sweep of a process tries
        those of before once more.

        Raises:
            RedisError: Redis is away.
        """
        now = self._state.clock.now()
        if self._swept_at is None:
            give_back(self._connection)
        elif self._cut_off or now - self._swept_at > self._lease_ttl_s / 2:
            # Redis or this host was away, or Redis took no writes: others may have been cut off as well and get the
            # chance to renew.
            self._blind_until = now + self._lease_ttl_s
        self._swept_at, self._cut_off = now, True
        self._forget_queues(now)
        swept = self._leases(now) + self._due(now) + self._lost_messages(now) + self._held(now) + self._archives()
        self._cut_off = False
        self._look_at_the_installation()
        return swept

    def trouble(self) -> str | None:
        """Return what keeps this process' sweeps from their work; None: nothing, or none was to run."""
        if self._failed >= FAILED_LEAST:
            return f"The last {self._failed} sweeps failed, so lost workers are not noticed: {self._reason}"
        still_s = time.monotonic() - self._ran_at if self._ran_at is not None else 0.0
        return f"No sweep has ended for {still_s:.0f} s: lost workers are not noticed." if still_s > STILL_S else None

    def run(self, stop: threading.Event, interval_s: float) -> None:
        """Look every `interval_s` seconds until `stop` is set."""
        self._ran_at = time.monotonic()
        while not stop.wait(interval_s):
            try:
                self.sweep()
                self._failed = 0
            except RedisError as fault:
                self._has_failed(str(redis_error(fault, place_of(self._connection))))
            except TunelineError as fault:
                self._has_failed(str(fault))
            except Exception as fault:
                # The thread must outlive what nobody foresaw.
                self._has_failed(f"{type(fault).__name__}: {fault}", fault)
            self._ran_at = time.monotonic()
        self._ran_at = None

    def _has_failed(self, reason: str, unforeseen: Exception | None = None) -> None:
        self._failed += 1
        self._reason = reason
        if unforeseen is not None:
            log.error("sweep_failed", message=reason, exc_info=unforeseen)
        else:
            log.warning("sweep_failed", message=reason, in_a_row=self._failed)

    def _look_at_the_installation(self) -> None:
        now = time.monotonic()
        if now - self._asked_at < ASK_EVERY_S:
            return
        self._asked_at = now
        try:
            found = self._installation.look_now_and_then()
        except TunelineError as fault:
            # A bucket that is away is told by what needs it.
            log.warning("registry_not_compared", message=str(fault))
            return
        if found != self._standing and found.kind != "sound":
            log.error("registry_not_sound", message=str(found))
        self._standing = found

    def _forget_queues(self, now: float) -> None:
        if self._queues_looked_at is None or now - self._queues_looked_at > QUEUES_EVERY_S:
            self._queues_looked_at = now
            self._state.queues.forget_empty()

    def _leases(self, now: float) -> int:
        expired = self._connection.zrangebyscore(keys.LEASES, 0, now, start=0, num=PAGE)
        if expired and (now < self._blind_until or self._redis_has_just_started()):
            return 0
        return self._each(keys.LEASES, expired, self._lease_ran_out)

    def _redis_has_just_started(self) -> bool:
        return bool(self._connection.info("server")["uptime_in_seconds"] < self._lease_ttl_s)

    def _lease_ran_out(self, entry: bytes) -> int:
        if (attempt := self._known(keys.LEASES, entry)) is None:
            return 0
        lost = self._orchestrator.lease_lost(attempt)
        if lost:
            log.warning("lease_lost", job=attempt.job, node=attempt.node, attempt=attempt.attempt)
        if lost is None or entry != attempt.key().encode():
            self._connection.zrem(keys.LEASES, entry)
            self._connection.hdel(keys.said(attempt.job), entry)
        return 1

    def _due(self, now: float) -> int:
        due = self._connection.zrangebyscore(keys.DUE, 0, now, start=0, num=PAGE)
        return self._each(keys.DUE, due, self._is_due)

    def _is_due(self, entry: bytes) -> int:
        if (attempt := self._known(keys.DUE, entry)) is None:
            return 0
        self._orchestrator.retry_due(attempt)
        self._connection.zrem(keys.DUE, entry)
        return 1

    def _lost_messages(self, now: float) -> int:
        """Queue again what a worker took and died with before it could claim it. A doubled message is harmless."""
        old = self._connection.zrangebyscore(keys.SENT, 0, now - LOST_MESSAGE_S, start=0, num=PAGE)
        return self._each(keys.SENT, old, self._resend_unless_queued)

    def _resend_unless_queued(self, entry: bytes) -> int:
        if (attempt := self._known(keys.SENT, entry)) is None:
            return 0
        if self._state.queues.holds(self._state.node(attempt).queue, attempt.key()):
            return 0
        resent = self._state.resend(attempt)
        if entry != attempt.key().encode():
            self._connection.zrem(keys.SENT, entry)
        return int(resent)

    def _held(self, now: float) -> int:
        """Send on where nothing of a job is on its way: an older release claims without sending the next."""
        idle = self._connection.zrangebyscore(keys.HOLDING, 0, now - LOST_MESSAGE_S, start=0, num=PAGE)
        return self._each(keys.HOLDING, idle, self._send_on)

    def _send_on(self, entry: bytes) -> int:
        job, queue = held_by(entry)
        if any(True for _ in self._connection.zscan_iter(keys.SENT, match=f"{job}-*", count=PAGE)):
            return 0
        return int(self._state.send_next(job, queue))

    def _archives(self) -> int:
        waiting = [job.encode() for job in self._logs.unarchived()]
        return self._each(keys.UNARCHIVED, waiting, self._archive)

    def _archive(self, entry: bytes) -> int:
        job = entry.decode()
        try:
            plan = self._state.plan(job)
        except NotFound:
            self._connection.zrem(keys.UNARCHIVED, entry)
            return 0
        for planned in plan.nodes.values():
            if planned.makes_version:
                self._registry.save_aliases(planned.config.get("model_name") or plan.name)
        self._logs.archive(job)
        return 1

    def _known(self, source: str, entry: bytes) -> AttemptId | None:
        """Return the attempt that an entry names; one of a job that is gone is removed.

        Raises:
            ValueError: it names none.
        """
        try:
            attempt = self._state.attempt(entry)
            self._state.node(attempt)
        except NotFound:
            self._connection.zrem(source, entry)
            return None
        return attempt

    def _each(self, source: str, entries: Iterable[bytes], handle: Callable[[bytes], int]) -> int:
        """Handle the entries of a sorted set one by one; return what came of it.

        One that fails is set aside; where only a server or a bucket is away it stays for the next sweep.
        """
        done = 0
        for entry in entries:
            try:
                done += handle(entry)
            except RedisError:
                raise
            except Exception as fault:
                if isinstance(fault, NotFound) or (isinstance(fault, TunelineError) and fault.retryable):
                    log.warning("swept_later", source=source, entry=repr(entry), message=str(fault))
                else:
                    log.error("set_aside", source=source, entry=repr(entry), exc_info=fault)
                    reason = f"{type(fault).__name__}: {fault}"
                    set_aside(self._connection, source, entry, reason, self._state.clock.now())
        return done
