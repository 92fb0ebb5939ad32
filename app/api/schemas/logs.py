"""Bodies of a job's log, and the events of its stream."""

from typing import Any

from pydantic import Field

from app.schemas import Moment, View
from pipelines.engine.state.job import JobStatus


class LogRecord(View):
    """One record of a job's log."""

    id: str = Field(description="The record's cursor: the same also in the archive.", examples=["1767225600250-0"])
    at: Moment = Field(description="When it was written, in seconds since 1970.")
    level: str = Field(description="`debug`, `info`, `warning` or `error`.", examples=["info"])
    event: str = Field(description="The event, as a name for programs.", examples=["node_completed"])
    node: str | None = Field(description="The node that it is about; null: the whole job.", examples=["training"])
    fields: dict[str, Any] = Field(
        description="More about the event; which fields there are depends on it.", examples=[{"attempt": 1}]
    )


class LogPage(View):
    """Records after a cursor, oldest first."""

    records: list[LogRecord] = Field(description="The records of this page.")
    next: str = Field(description="The cursor for the page after this one.", examples=["1767225600250-0"])
    ended: bool = Field(description="Whether the job has ended and this was all.")


class LogGap(View):
    """Records after the cursor were deleted before they were read."""

    after: str = Field(description="The cursor that the reader came with.", examples=["1767225600250-0"])


class LogEnd(View):
    """The job has ended; nothing follows."""

    status: JobStatus = Field(description="How it ended.")


class Ping(View):
    """Nothing happened for a while."""
