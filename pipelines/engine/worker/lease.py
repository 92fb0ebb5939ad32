"""The lease of a running attempt: renewed from a thread that also hears of a cancel, a pause or its loss."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import structlog
from redis import Redis, RedisError

from agents.base.errors import StopKind
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys

log = structlog.get_logger()
#: Renews only a lease that is still there, and says what the job's users want.
RENEW = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == false then return 'lost' end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] + time[2] / 1000000 + ARGV[2], ARGV[1])
local stop = cjson.decode(redis.call('HGET', KEYS[2], 'head'))['stop']
return stop ~= cjson.null and stop or ''
"""
Reason = Literal["cancel", "pause", "handed_back", "lost", "timed_out"]


class Lease:
    """One attempt's lease, as the worker that holds it sees it.

    `stop_reason` becomes `cancel` or `pause` when users ask for it, `lost` when the lease is gone,
    `timed_out` when the attempt ran too long, `handed_back` when `hand_back` was called. `on_stop` is
    called, from the keeper's thread, when it does. Where Redis is away the lease is kept in good faith.
    """

    def __init__(self, attempt: AttemptId, *, timeout_s: float, on_stop: Callable[[Reason], None]) -> None:
        self.attempt = attempt
        self.stop_reason: Reason | None = None
        self._deadline = time.monotonic() + timeout_s
        self._on_stop = on_stop
        self._lock = threading.Lock()
        self._over = False

    def stop_wanted(self) -> StopKind | None:
        """Return what the agent should be told: a pause also where its work goes on elsewhere."""
        if self.stop_reason is None:
            return None
        return "cancel" if self.stop_reason == "cancel" else "pause"

    def is_kept(self) -> bool:
        """Say whether the attempt still runs."""
        return not self._over

    def end(self) -> None:
        """Have it renewed no more: the attempt is over."""
        self._over = True

    def hand_back(self) -> None:
        """Stop the attempt because this worker is shutting down."""
        self._stop("handed_back")

    def renewed(self, answer: str) -> None:
        """Take in what Redis said to a renewal: nothing, `cancel`, `pause` or `lost`."""
        if answer:
            self._stop(answer)  # type: ignore[arg-type]

    def check_time(self) -> None:
        """Stop the attempt if it has run too long."""
        if time.monotonic() > self._deadline:
            self._stop("timed_out")

    def _stop(self, reason: Reason) -> None:
        with self._lock:
            if self._over or (self.stop_reason is not None and reason != "lost") or self.stop_reason == reason:
                return
            self.stop_reason = reason
        self._on_stop(reason)


class LeaseKeeper:
    """Renews the lease of whatever attempt this worker runs, from one thread for the worker's whole life."""

    def __init__(self, connection: "Redis", *, ttl_s: float, renew_s: float) -> None:
        self._script = connection.register_script(RENEW)
        self._ttl_s = ttl_s
        self._renew_s = renew_s
        self._thread: threading.Thread | None = None
        self.lease: Lease | None = None

    @contextmanager
    def keep(self, lease: Lease) -> Iterator[None]:
        """Keep a lease while the attempt runs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew_for_ever, name="leases", daemon=True)
            self._thread.start()
        self.lease = lease
        try:
            yield
        finally:
            lease.end()
            self.lease = None

    def _renew_for_ever(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._renew_s):
            lease = self.lease
            if lease is not None and lease.stop_reason != "lost":
                lease.check_time()
                try:
                    self._renew(lease)
                except Exception as fault:
                    # The thread must outlive what nobody foresaw: without it this worker's leases all run out.
                    log.error("lease_not_renewed", attempt=lease.attempt.key(), message=str(fault), exc_info=fault)

    def _renew(self, lease: Lease) -> None:
        try:
            answer = self._script(
                keys=[keys.LEASES, keys.state(lease.attempt.job)], args=[lease.attempt.key(), self._ttl_s]
            )
        except RedisError:
            return
        lease.renewed(answer.decode())
