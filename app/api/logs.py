"""A job's log: history by cursor, and the live stream as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import redis.asyncio
from fastapi import APIRouter, Header, Query
from redis import RedisError
from sse_starlette import EventSourceResponse, JSONServerSentEvent, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from agents.base.errors import InvalidRequest
from app.api.parts import PartsDep
from app.schemas import LogPage
from app.wiring import Parts
from pipelines.engine import keys
from pipelines.engine.job import JOB_ENDED
from pipelines.engine.logs import FIRST, PAGE, as_record, parse_id, selected

router = APIRouter(prefix="/jobs/{job_id}/logs", tags=["logs"])
Level = Literal["debug", "info", "warning", "error"]
#: How long one blocking read waits; shorter than the socket's timeout.
BLOCK_MS = 2000
PING_S = 10
RECONNECT_S = 0.5


@router.get("")
def history(
    job_id: str,
    parts: PartsDep,
    after: str = FIRST,
    level: Level | None = None,
    node: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = PAGE,
) -> LogPage:
    """Return records after a cursor, oldest first."""
    _check_cursor(after)
    ended = parts.state.head(job_id).status in JOB_ENDED
    records = parts.logs.read(job_id, after, limit)
    last = records[-1]["id"] if records else after
    return LogPage(records=selected(records, level, node), next=last, ended=ended and len(records) < limit)


@router.get("/stream")
async def stream(
    job_id: str,
    parts: PartsDep,
    level: Level | None = None,
    node: str | None = None,
    after: str = FIRST,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventSourceResponse:
    """Follow the log. `id` is the record's id; a client that comes back with `Last-Event-ID` misses nothing.

    Events: `log` with a record; `gap` where records were trimmed; `ping`; `end` when the job has ended.
    """
    cursor = last_event_id or after
    _check_cursor(cursor)
    await run_in_threadpool(parts.state.head, job_id)
    events = _follow(parts, job_id, cursor, level, node)
    return EventSourceResponse(events, ping=PING_S, ping_message_factory=_ping, headers={"X-Accel-Buffering": "no"})


async def _follow(
    parts: Parts, job_id: str, cursor: str, level: str | None, node: str | None
) -> AsyncIterator[ServerSentEvent]:
    if await run_in_threadpool(parts.logs.trimmed_after, job_id, cursor):
        yield JSONServerSentEvent({"after": cursor}, event="gap")
    client = redis.asyncio.Redis.from_url(parts.redis_url, socket_timeout=BLOCK_MS / 1000 + 5)
    try:
        while True:
            records, ended = await _next(parts, client, job_id, cursor)
            for record in selected(records, level, node):
                yield JSONServerSentEvent(record, event="log", id=record["id"])
            if records:
                cursor = records[-1]["id"]
            elif ended:
                status = (await run_in_threadpool(parts.state.head, job_id)).status
                yield JSONServerSentEvent({"status": status}, event="end")
                return
    finally:
        await client.aclose()


async def _next(
    parts: Parts, client: "redis.asyncio.Redis", job_id: str, cursor: str
) -> tuple[list[dict[str, Any]], bool]:
    """Return what came after the cursor, waiting a while for it, and whether the job had ended before."""
    try:
        head, live = await asyncio.gather(client.hget(keys.state(job_id), "head"), client.exists(keys.log(job_id)))
        ended = json.loads(head)["status"] in JOB_ENDED
        if not live:
            return await run_in_threadpool(parts.logs.read, job_id, cursor), ended
        block = None if ended else BLOCK_MS
        found = await client.xread({keys.log(job_id): cursor}, count=PAGE, block=block)
    except RedisError:
        # Redis is away for a while: the follower keeps its cursor and goes on where it was.
        await asyncio.sleep(RECONNECT_S)
        return [], False
    return [as_record(stream_id, entry) for stream_id, entry in (found[0][1] if found else [])], ended


def _ping() -> ServerSentEvent:
    return ServerSentEvent("{}", event="ping")


def _check_cursor(cursor: str) -> None:
    try:
        parse_id(cursor)
    except ValueError as fault:
        raise InvalidRequest(
            f"'{cursor}' is no cursor.", cure="Use the id of a record, such as 1700000000000-0."
        ) from fault
