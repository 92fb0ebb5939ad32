"""A worker's entry among the living."""

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from redis import Redis
from redis.exceptions import RedisError
from rq import Worker
from rq.utils import utcformat
from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY

HEARTBEAT_S = 10.0
#: A worker that was silent for so long is forgotten.
SILENCE_S = 90


class Registration:
    """A worker's entry among the living, as RQ keeps it: `NodeQueues.workers` reads it, and so do older releases.

    It is written whole with each beat, so that it comes back when it has run out or Redis was emptied.
    """

    def __init__(self, connection: "Redis", name: str, queues: Sequence[str]) -> None:
        self._connection = connection
        self._key = f"{Worker.redis_worker_namespace_prefix}{name}"
        self._queues = tuple(queues)
        self._born = datetime.now(UTC)
        self._beat_at: float | None = None

    def beat(self) -> None:
        """Say that this worker lives, if that was said long enough ago; silent where Redis is away."""
        now = time.monotonic()
        if self._beat_at is not None and now - self._beat_at < HEARTBEAT_S:
            return
        self._beat_at = now
        said = datetime.now(UTC)
        entry = {"birth": utcformat(self._born), "last_heartbeat": utcformat(said), "queues": ",".join(self._queues)}
        entry |= {"hostname": socket.gethostname(), "pid": str(os.getpid())}
        with suppress(RedisError), self._connection.pipeline() as pipe:
            pipe.hset(self._key, mapping=entry)
            pipe.expire(self._key, SILENCE_S)
            for group in self._groups():
                pipe.sadd(group, self._key)
            pipe.execute()

    def leave(self) -> None:
        """Take this worker out; what can't be taken out now is forgotten after `SILENCE_S`."""
        with suppress(RedisError), self._connection.pipeline() as pipe:
            for group in self._groups():
                pipe.srem(group, self._key)
            pipe.delete(self._key)
            pipe.execute()

    def _groups(self) -> tuple[str, ...]:
        return (REDIS_WORKER_KEYS, *(WORKERS_BY_QUEUE_KEY % queue for queue in self._queues))
