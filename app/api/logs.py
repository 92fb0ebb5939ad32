"""A job's log: history by cursor, and the live stream as server-sent events."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from agents.base.errors import InvalidRequest, NotFound
from agents.base.identifiers import CURSOR_PATTERN, Cursor
from agents.base.strict_json import encode
from app.api.dependencies import FollowerRoomDep, FollowLogDep, JobId, LogsDep, StateDep
from app.api.schemas.logs import LogEnd, LogGap, LogPage, LogRecord, Ping
from app.openapi import events, faults
from pipelines.engine.state.job import JOB_ENDED
from pipelines.engine.state.log_follower import LogFollower
from pipelines.engine.state.log_records import fitting, selected
from pipelines.engine.state.logs import FIRST, PAGE

router = APIRouter(prefix="/jobs/{job_id}/logs", tags=["logs"])
Level = Literal["debug", "info", "warning", "error"]
PING_S = 10
After = Annotated[
    str,
    Query(
        description="The id of the last record that was read.",
        examples=["1767225600250-0"],
        json_schema_extra={"pattern": CURSOR_PATTERN},
    ),
]
Least = Annotated[Level | None, Query(description="The least level of records.")]
OfNode = Annotated[str | None, Query(description="Only records of this node.", examples=["training"])]


@router.get("", summary="Read a job's log", responses=faults(NotFound, InvalidRequest))
def read_log(
    job_id: JobId,
    state: StateDep,
    logs: LogsDep,
    after: After = FIRST,
    level: Least = None,
    node: OfNode = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="The largest number of records read for a page.")] = PAGE,
) -> LogPage:
    """Return records after a cursor, oldest first; a page of large records has fewer of them than `limit`.

    A record that can't be read is there as `record_unreadable`, with the reason. `adjusted` among a record's fields
    says what of it could not be kept as it was given: values `replaced`, values `cut`, a `level` that nobody knows.
    """
    after = str(Cursor.parse(after))
    ended = state.head(job_id).status in JOB_ENDED
    found = logs.read(job_id, after, limit)
    records = fitting(found)
    last = records[-1]["id"] if records else after
    page = [LogRecord.model_validate(record) for record in selected(records, level, node)]
    return LogPage(records=page, next=last, ended=ended and len(records) == len(found) < limit)


@router.get(
    "/stream",
    summary="Follow a job's log",
    response_class=EventSourceResponse,
    responses={
        **faults(NotFound, InvalidRequest),
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
    follow: FollowLogDep,
    room: FollowerRoomDep,
    level: Least = None,
    node: OfNode = None,
    after: After = FIRST,
    last_event_id: Annotated[
        str,
        Header(
            description="The cursor of a client that reconnects; it takes precedence over `after`.",
            json_schema_extra={"pattern": CURSOR_PATTERN},
        ),
    ] = "",
) -> EventSourceResponse:
    """Follow the log. `id` is the record's id; a client that comes back with `Last-Event-ID` misses nothing.

    Events: `log` with a record; `gap` where records were trimmed; `ping`; `end` when the job has ended.
    """
    cursor = str(Cursor.parse(last_event_id or after))
    await run_in_threadpool(state.head, job_id)
    room.check()

    async def found() -> AsyncIterator[ServerSentEvent]:
        if await run_in_threadpool(logs.trimmed_after, job_id, cursor):
            yield _event("gap", {"after": cursor})
        with room.take():
            async with follow(job_id) as follower, aclosing(_events(follower, cursor, level, node)) as events_:
                async for event in events_:
                    yield event
        status = (await run_in_threadpool(state.head, job_id)).status
        yield _event("end", {"status": status})

    return EventSourceResponse(found(), ping=PING_S, ping_message_factory=_ping, headers={"X-Accel-Buffering": "no"})


async def _events(
    follower: LogFollower, cursor: str, level: str | None, node: str | None
) -> AsyncGenerator[ServerSentEvent, None]:
    """Yield the records after a cursor until the job has ended and there are no more."""
    while True:
        records, ended = await follower.next(cursor)
        for record in selected(records, level, node):
            yield _event("log", record, record["id"])
        if records:
            cursor = records[-1]["id"]
        elif ended:
            return


def _event(name: str, data: dict[str, Any], cursor: str | None = None) -> ServerSentEvent:
    # In ASCII: some clients take a line separator of Unicode for the end of a line.
    return ServerSentEvent(encode(data).text, event=name, id=cursor)


def _ping() -> ServerSentEvent:
    return ServerSentEvent("{}", event="ping")
