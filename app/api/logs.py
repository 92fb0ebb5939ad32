"""A job's log: history by cursor, and the live stream as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import redis.asyncio
from fastapi import APIRouter, Header, Query
from redis import RedisError
from sse_starlette import EventSourceResponse, JSONServerSentEvent, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from agents.base.errors import InvalidRequest, NotFound
from app.api.dependencies import JobId, LogsDep, StateDep, StreamConnectionDep
from app.api.schemas.logs import LogEnd, LogGap, LogPage, LogRecord, Ping
from app.openapi import events, faults
from pipelines.engine import keys
from pipelines.engine.job import JOB_ENDED
from pipelines.engine.logs import FIRST, PAGE, Logs, as_record, parse_id, selected
from pipelines.engine.run_state import RunState

router = APIRouter(prefix="/jobs/{job_id}/logs", tags=["logs"])
Level = Literal["debug", "info", "warning", "error"]
#: How long one blocking read waits; shorter than the socket's timeout.
BLOCK_MS = 2000
PING_S = 10
RECONNECT_S = 0.5
Cursor = Annotated[str, Query(description="The id of the last record that was read.", examples=["1767225600250-0"])]
Least = Annotated[Level | None, Query(description="The least level of records.")]
OfNode = Annotated[str | None, Query(description="Only records of this node.", examples=["training"])]


@router.get("", summary="Read a job's log", responses=faults(NotFound))
def read_log(
    job_id: JobId,
    state: StateDep,
    logs: LogsDep,
    after: Cursor = FIRST,
    level: Least = None,
    node: OfNode = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="How many records a page is made of at most.")] = PAGE,
) -> LogPage:
    """Return records after a cursor, oldest first."""
    _check_cursor(after)
    ended = state.head(job_id).status in JOB_ENDED
    records = logs.read(job_id, after, limit)
    last = records[-1]["id"] if records else after
    page = [LogRecord.model_validate(record) for record in selected(records, level, node)]
    return LogPage(records=page, next=last, ended=ended and len(records) < limit)


@router.get(
    "/stream",
    summary="Follow a job's log",
    response_class=EventSourceResponse,
    responses={
        **faults(NotFound),
        200: events(
            "The log as server-sent events.",
            ("log", LogRecord),
            ("gap", LogGap),
            ("ping", Ping),
            ("end", LogEnd),
            ids=("log",),
        ),
    },
)
async def follow_log(
    job_id: JobId,
    state: StateDep,
    logs: LogsDep,
    connect: StreamConnectionDep,
    level: Least = None,
    node: OfNode = None,
    after: Cursor = FIRST,
    last_event_id: Annotated[
        str | None, Header(description="The cursor of one who comes back; before `after`.")
    ] = None,
) -> EventSourceResponse:
    """Follow the log. `id` is the record's id; a client that comes back with `Last-Event-ID` misses nothing.

    Events: `log` with a record; `gap` where records were trimmed; `ping`; `end` when the job has ended.
    """
    cursor = last_event_id or after
    _check_cursor(cursor)
    await run_in_threadpool(state.head, job_id)
    found = _follow(_Followed(job_id, state, logs), connect, cursor, level, node)
    return EventSourceResponse(found, ping=PING_S, ping_message_factory=_ping, headers={"X-Accel-Buffering": "no"})


@dataclass(frozen=True)
class _Followed:
    """The log that is followed, and where it is looked up."""

    job_id: str
    state: RunState
    logs: Logs


async def _follow(
    of: _Followed, connect: "Callable[[float], redis.asyncio.Redis]", cursor: str, level: str | None, node: str | None
) -> AsyncIterator[ServerSentEvent]:
    if await run_in_threadpool(of.logs.trimmed_after, of.job_id, cursor):
        yield JSONServerSentEvent({"after": cursor}, event="gap")
    client = connect(BLOCK_MS / 1000 + 5)
    try:
        while True:
            records, ended = await _next(of, client, cursor)
            for record in selected(records, level, node):
                yield JSONServerSentEvent(record, event="log", id=record["id"])
            if records:
                cursor = records[-1]["id"]
            elif ended:
                status = (await run_in_threadpool(of.state.head, of.job_id)).status
                yield JSONServerSentEvent({"status": status}, event="end")
                return
    finally:
        await client.aclose()


async def _next(of: _Followed, client: "redis.asyncio.Redis", cursor: str) -> tuple[list[dict[str, Any]], bool]:
    """Return what came after the cursor, waiting a while for it, and whether the job had ended before."""
    job_id = of.job_id
    try:
        head, live = await asyncio.gather(client.hget(keys.state(job_id), "head"), client.exists(keys.log(job_id)))
        ended = json.loads(head)["status"] in JOB_ENDED
        if not live:
            return await run_in_threadpool(of.logs.read, job_id, cursor), ended
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
