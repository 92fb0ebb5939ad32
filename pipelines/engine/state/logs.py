"""A job's log: append, read after a cursor, archive at the end.

A record's id is its stream id (`<milliseconds>-<number>`), also once it lies in the archive: a reader
goes on from the last id it saw, whatever was restarted in between.
"""

import json
from collections.abc import Iterator
from itertools import islice

from redis import Redis

from agents.base import bucket
from agents.base.errors import Fenced, NotFound
from agents.base.identifiers import Cursor
from agents.base.object_store import ObjectStore
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys
from pipelines.engine.state.job_reader import check_job_id, no_job
from pipelines.engine.state.log_records import Record, archived_record, as_record, fields_of

PAGE = 1000
FIRST = "0-0"
#: The last id that a stream can give: nothing comes after it, which Redis refuses to be asked.
LAST = "18446744073709551615-18446744073709551615"

#: Appends a record, and keeps the newest progress, only while the attempt holds its lease; a record that comes
#: again, because the answer to it was lost, is left out.
FENCED_APPEND = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == false then return false end
if tonumber(redis.call('HGET', KEYS[4], ARGV[1]) or 0) >= tonumber(ARGV[8]) then return 'known' end
redis.call('HSET', KEYS[4], ARGV[1], ARGV[8])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[2], ARGV[3], ARGV[2]) end
return redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'level', ARGV[5], 'event', ARGV[6], 'node', ARGV[3],
                  'fields', ARGV[7])
"""


class Logs:
    """The logs of all jobs: live in Redis, archived in the object store."""

    def __init__(self, connection: "Redis", objects: ObjectStore, *, max_entries: int) -> None:
        self.connection = connection
        self._objects = objects
        self._max_entries = max_entries
        self._append = connection.register_script(FENCED_APPEND)

    def append(self, attempt: AttemptId, node: str, number: int, record: Record) -> None:
        """Add what an attempt at a node said; `number` counts its records from 1, so that each is added once.

        Raises:
            Fenced: the attempt holds no lease any more; nothing was written.
        """
        level, event, text = fields_of(record)
        job = attempt.job
        written = self._append(
            keys=[keys.LEASES, keys.progress(job), keys.log(job), keys.said(job)],
            args=[
                attempt.key(),
                text if record["kind"] == "progress" else "",
                node,
                self._max_entries,
                level,
                event,
                text,
                number,
            ],
        )
        if written is None:
            raise Fenced(f"Attempt {attempt.attempt} at '{node}' has lost its lease: what it said was not written.")

    def read(self, job: str, after: str = FIRST, limit: int = PAGE) -> list[Record]:
        """Return records after a cursor, oldest first, from the stream or the archive.

        One that can't be read is there as a record that says so.

        Raises:
            NotFound: no such job.
            InvalidRequest: `after` is not a cursor.
        """
        check_job_id(job)
        cursor = Cursor.parse(after)
        rows = self.connection.xrange(keys.log(job), min=f"({cursor}", count=limit) if str(cursor) != LAST else []
        if rows or self.connection.exists(keys.log(job)):
            return [as_record(stream_id, entry) for stream_id, entry in rows]
        return list(islice((record for place, record in self._archived(job) if place > cursor), limit))

    def trimmed_after(self, job: str, after: str) -> bool:
        """Say whether records after a cursor may have been dropped from the live stream to keep it short.

        A cursor that is just the newest dropped record can't be told from older ones: it counts as a gap too.
        """
        if not self.connection.exists(keys.log(job)):
            return False
        info = self.connection.xinfo_stream(keys.log(job))
        if info["entries-added"] == info["length"] or info["first-entry"] is None:
            return False
        return Cursor.parse(after) < Cursor.parse(info["first-entry"][0].decode())

    # -- archive -------------------------------------------------------------------------------

    def archive(self, job: str) -> None:
        """Copy an ended job's log to the object store; done twice it writes the same."""
        if self.connection.exists(keys.log(job)):
            lines = (json.dumps(record) for record in self._all(job))
            self._objects.put(bucket.archived_log(job), "\n".join(lines).encode(), "application/x-ndjson")
        self.connection.zrem(keys.UNARCHIVED, job)

    def unarchived(self) -> list[str]:
        """Return ended jobs whose log still has to be archived."""
        return [job.decode() for job in self.connection.zrange(keys.UNARCHIVED, 0, -1)]

    def is_archived(self, job: str) -> bool:
        """Say whether a job's log lies in the object store."""
        return self._objects.size(bucket.archived_log(job)) is not None

    def drop_live(self, job: str) -> None:
        """Remove the live stream of a job whose log is archived."""
        if self.is_archived(job):
            self.connection.delete(keys.log(job))

    def _all(self, job: str) -> Iterator[Record]:
        cursor = FIRST
        while page := self.connection.xrange(keys.log(job), min=f"({cursor}", count=PAGE):
            yield from (as_record(stream_id, entry) for stream_id, entry in page)
            cursor = page[-1][0].decode()

    def _archived(self, job: str) -> Iterator[tuple[Cursor, Record]]:
        place = Cursor.parse(FIRST)
        for line in self._archived_lines(job):
            record = archived_record(line, place)
            place = Cursor.parse(record["id"])
            yield place, record

    def _archived_lines(self, job: str) -> list[bytes]:
        try:
            return self._objects.get(bucket.archived_log(job)).split(b"\n")
        except NotFound:
            if not self.connection.exists(keys.state(job)):
                raise no_job(job) from None
            return []
