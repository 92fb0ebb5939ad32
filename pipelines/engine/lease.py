"""The lease of a running attempt: renewed by a thread that also hears of a cancel, a pause or its loss."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from redis import Redis, RedisError

from agents.base.errors import StopKind
from pipelines.engine import keys

#: Renews only a lease that is still there, and says what the job's users want.
RENEW = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == false then return 'lost' end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] + time[2] / 1000000 + ARGV[2], ARGV[1])
local head = redis.call('HGET', KEYS[2], 'head')
return cjson.decode(head)['stop'] or ''
"""
Reason = Literal["cancel", "pause", "handed_back", "lost", "timed_out"]


class LeaseKeeper:
    """Keeps one attempt's lease while it is entered.

    `stop_reason` becomes `cancel` or `pause` when users ask for it, `lost` when the lease is gone,
    `timed_out` when the attempt ran too long, `handed_back` when `hand_back` was called. `on_stop` is
    called once, from the keeper's thread, when it does. Where Redis is away the lease is kept in good faith.
    """

    def __init__(
        self,
        connection: "Redis",
        job: str,
        lease: str,
        *,
        ttl_s: float,
        renew_s: float,
        timeout_s: float,
        on_stop: Callable[[Reason], None],
    ) -> None:
        self._script = connection.register_script(RENEW)
        self._keys = [keys.LEASES, keys.state(job)]
        self._args = [lease, ttl_s]
        self._renew_s = renew_s
        self._deadline = time.monotonic() + timeout_s
        self._on_stop = on_stop
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=f"lease {lease}", daemon=True)
        self.stop_reason: Reason | None = None

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def stop_wanted(self) -> StopKind | None:
        """Return what the agent should be told: a pause also where its work goes on elsewhere."""
        if self.stop_reason is None:
            return None
        return "cancel" if self.stop_reason == "cancel" else "pause"

    def is_kept(self) -> bool:
        """Say whether the attempt still runs."""
        return not self._over.is_set()

    def hand_back(self) -> None:
        """Stop the attempt because this worker is shutting down."""
        self._stop("handed_back")

    def _keep(self) -> None:
        while not self._over.wait(self._renew_s):
            if time.monotonic() > self._deadline:
                self._stop("timed_out")
            try:
                answer = self._script(keys=self._keys, args=self._args)
            except RedisError:
                continue
            if answer:
                self._stop(answer.decode())
            if answer == b"lost":
                return

    def _stop(self, reason: Reason) -> None:
        with self._lock:
            if self.stop_reason is not None and reason != "lost":
                return
            self.stop_reason = reason
        self._on_stop(reason)
