"""Following a job's log without holding a thread: what comes after a cursor, as soon as it comes."""

import asyncio
from types import TracebackType
from typing import Self

import anyio
import redis.asyncio
from redis import RedisError

from pipelines.engine.state import keys
from pipelines.engine.state.job import JOB_ENDED
from pipelines.engine.state.job_reader import shown_head
from pipelines.engine.state.log_records import Record, as_record
from pipelines.engine.state.logs import PAGE, Logs
from pipelines.engine.state.prefix import keeping_to_async, prefix_of

#: How long one blocking read waits.
BLOCK_MS = 2000
#: A socket that is silent for longer than a blocking read is broken.
SOCKET_SLACK_S = 5
RECONNECT_S = 0.5
CLOSE_TIMEOUT_S = 2.0


class LogFollower:
    """Reads one job's log over a connection of its own."""

    def __init__(self, redis_url: str, logs: Logs, job: str) -> None:
        timeout_s = BLOCK_MS / 1000 + SOCKET_SLACK_S
        client = redis.asyncio.Redis.from_url(redis_url, socket_timeout=timeout_s)
        self._client = keeping_to_async(prefix_of(logs.connection), client)
        self._logs = logs
        self._job = job

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Who leaves is cancelled, and would be again at this very word: the connection would stay open.
        with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            await self._client.aclose()

    async def next(self, cursor: str) -> tuple[list[Record], bool]:
        """Return the records after a cursor, waiting a while for them, and whether the job had ended before.

        While Redis is away there are none: who follows keeps the cursor and asks again.
        """
        try:
            # In one message over the one connection that a follower has.
            asked = self._client.pipeline(transaction=False)
            head, live = await asked.hget(keys.state(self._job), "head").exists(keys.log(self._job)).execute()
            # A job that was forgotten meanwhile has ended.
            ended = head is None or shown_head(head).status in JOB_ENDED
            if not live:
                kept = await asyncio.to_thread(self._logs.read, self._job, cursor) if head else []
                if not kept and not ended:
                    # Somebody has removed the stream; the job goes on, and with it the log.
                    await asyncio.sleep(RECONNECT_S)
                return kept, ended
            block_ms = None if ended else BLOCK_MS
            found = await self._client.xread({keys.log(self._job): cursor}, count=PAGE, block=block_ms)
        except RedisError:
            await asyncio.sleep(RECONNECT_S)
            return [], False
        return [as_record(stream_id, entry) for stream_id, entry in (found[0][1] if found else [])], ended
