"""The Redis server's clock, so that leases mean the same on every host."""

import time

from redis import Redis

#: A host's clock may run apart from the server's by some seconds a day; this keeps it under a millisecond.
RESYNC_S = 30.0


class ServerClock:
    """Seconds since 1970 as the Redis server counts them, asked for every half minute."""

    def __init__(self, connection: "Redis") -> None:
        self._connection = connection
        self._offset_s = 0.0
        self._synced_at: float | None = None

    def now(self) -> float:
        """Return the server's time in seconds."""
        local = time.monotonic()
        if self._synced_at is None or local - self._synced_at > RESYNC_S:
            seconds, microseconds = self._connection.time()
            self._offset_s = seconds + microseconds / 1e6 - time.monotonic()
            self._synced_at = local
        return time.monotonic() + self._offset_s
