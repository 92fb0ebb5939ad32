"""A job's log: history by cursor, and the live stream as server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, JSONServerSentEvent, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from agents.base.errors import InvalidRequest
from app.api.parts import PartsDep
from app.schemas import LogPage
from app.wiring import Parts
from pipelines.engine.state.job import JOB_ENDED
from pipelines.engine.state.log_follower import LogFollower
from pipelines.engine.state.logs import FIRST, PAGE, parse_id, selected

router = APIRouter(prefix="/jobs/{job_id}/logs", tags=["logs"])
Level = Literal["debug", "info", "warning", "error"]
PING_S = 10


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
    async with LogFollower(parts.redis_url, parts.logs, job_id) as follower:
        while True:
            records, ended = await follower.next(cursor)
            for record in selected(records, level, node):
                yield JSONServerSentEvent(record, event="log", id=record["id"])
            if records:
                cursor = records[-1]["id"]
            elif ended:
                status = (await run_in_threadpool(parts.state.head, job_id)).status
                yield JSONServerSentEvent({"status": status}, event="end")
                return


def _ping() -> ServerSentEvent:
    return ServerSentEvent("{}", event="ping")


def _check_cursor(cursor: str) -> None:
    try:
        parse_id(cursor)
    except ValueError as fault:
        raise InvalidRequest(
            f"'{cursor}' is no cursor.", cure="Use the id of a record, such as 1700000000000-0."
        ) from fault
