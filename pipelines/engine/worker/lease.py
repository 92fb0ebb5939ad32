"""The lease of a running attempt: renewed by the worker's supervisor, which also hears of a cancel, a pause or a loss.

So it is kept whatever an agent does in the worker's process, and where Redis is away it is kept in good faith.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis import Redis, RedisError

from agents.base.errors import StopKind
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys
from pipelines.engine.worker.slot import AttemptSlot, Reason, Running

#: Renews only a lease that is still there, and says what the job's users want. A full Redis takes it too: it needs no
#: memory, and attempts that live would be given up once there is room.
RENEW = """#!lua flags=allow-oom
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == false then return 'lost' end
local head = redis.call('HGET', KEYS[2], 'head')
if not head then return 'lost' end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] + time[2] / 1000000 + ARGV[2], ARGV[1])
local stop = cjson.decode(head)['stop']
return stop ~= cjson.null and stop or ''
"""


class Lease:
    """One attempt's lease, as the worker sees it.

    `stop_reason` becomes `cancel` or `pause` when users ask for it, `lost` when the lease is gone, `timed_out` when
    the attempt ran too long, `handed_back` when `hand_back` was called.
    """

    def __init__(self, slot: AttemptSlot, number: int) -> None:
        self._slot = slot
        self._number = number
        self._handed_back = False

    @property
    def stop_reason(self) -> Reason | None:
        """Return why the attempt is to stop, if it is."""
        return self._slot.stop_reason(self._number) or ("handed_back" if self._handed_back else None)

    def stop_wanted(self) -> StopKind | None:
        """Return what the agent should be told: a pause also where its work goes on elsewhere."""
        reason = self.stop_reason
        if reason is None:
            return None
        return "cancel" if reason == "cancel" else "pause"

    def hand_back(self) -> None:
        """Stop the attempt because this worker is shutting down."""
        self._handed_back = True

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Say that the agent runs in a process of its own: the worker itself ends that one in time."""
        self._slot.turn("apart")
        try:
            yield
        finally:
            self._slot.turn("works")

    def reports(self) -> None:
        """Say that the agent has ended: what is left to do must not be broken off for a stop."""
        self._slot.turn("reports")


@contextmanager
def leased(slot: AttemptSlot, attempt: AttemptId, timeout_s: float) -> Iterator[Lease]:
    """Have an attempt's lease kept while it runs and is reported."""
    number = slot.take(attempt.key(), timeout_s)
    try:
        yield Lease(slot, number)
    finally:
        slot.turn("idle")


@dataclass(slots=True)
class Held:
    """An attempt whose lease is kept, and since when (by `time.monotonic`) it is to stop."""

    running: Running
    stop_reason: Reason | None = None
    stopped_at: float = 0.0


class LeaseKeeper:
    """Keeps the lease of what is in a slot: somebody has to `look` every now and then."""

    def __init__(self, connection: "Redis", slot: AttemptSlot, *, ttl_s: float) -> None:
        self._script = connection.register_script(RENEW)
        self._slot = slot
        self._ttl_s = ttl_s
        self._held: Held | None = None

    def look(self) -> Held | None:
        """Renew the lease, and pass a stop on to the worker; return what it holds."""
        held = self.held()
        if held is None:
            return None
        if held.running.phase != "reports" and time.monotonic() > held.running.deadline:
            self._stop(held, "timed_out")
        if held.stop_reason != "lost" and (answer := self._renewed(held.running.key)):
            self._stop(held, answer)
        return held

    def held(self) -> Held | None:
        """Return what the worker holds, without asking Redis."""
        running = self._slot.running()
        if running is None:
            self._held = None
        elif self._held is None or self._held.running.number != running.number:
            self._held = Held(running)
        else:
            self._held.running = running
        return self._held

    def _stop(self, held: Held, reason: Reason) -> None:
        if held.stop_reason == reason or (held.stop_reason is not None and reason != "lost"):
            return
        held.stop_reason, held.stopped_at = reason, held.stopped_at or time.monotonic()
        self._slot.stop(held.running.number, reason)

    def _renewed(self, key: str) -> Reason | None:
        """Return what Redis said to a renewal: nothing, `cancel`, `pause` or `lost`."""
        try:
            answer = self._script(keys=[keys.LEASES, keys.state(AttemptId.parse(key).job)], args=[key, self._ttl_s])
        except RedisError:
            return None
        return answer.decode() or None
