"""Housekeeping: finds what no job, version or cache entry refers to, and removes it when told to.

Never touched: model versions, uploaded data sets, anything of an unfinished job, objects younger than a day, and
objects that lie where Tuneline puts none.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis

from agents import QUEUES
from agents.base import bucket
from agents.base.errors import CorruptArtifact
from agents.base.object_store import REUSE_S, ObjectStore
from agents.base.records import Artifact, artifacts_in
from agents.base.store_types import Entry
from pipelines.engine.state import keys
from pipelines.engine.state.installation import Installation
from pipelines.engine.state.job import JOB_ENDED, Job, JobHead
from pipelines.engine.state.job_index import remove_from_index
from pipelines.engine.state.logs import Logs
from pipelines.engine.state.registry import reservation_fields
from pipelines.engine.state.store import JobStore

#: Twice the age at which an artifact is written again instead of reused: nothing that a running node counts on.
YOUNGEST_S = 2 * REUSE_S


@dataclass(frozen=True)
class Retention:
    """How long things are kept after their job has ended, in seconds."""

    jobs_s: float
    live_logs_s: float
    checkpoints_s: float


class Leftover(NamedTuple):
    """A field of a hash in Redis, as Redis names both."""

    key: str | bytes
    field: bytes


@dataclass(frozen=True)
class Garbage:
    """What can be removed."""

    jobs: tuple[str, ...] = ()
    """Ended so long ago that they are forgotten, with their logs."""
    live_logs: tuple[str, ...] = ()
    """Jobs whose log is archived and need no stream in Redis any more."""
    checkpoints: tuple[Entry, ...] = ()
    archived_logs: tuple[Entry, ...] = ()
    artifacts: tuple[Entry, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    """Fields of hashes in Redis that belong to nothing any more."""

    @property
    def objects(self) -> tuple[Entry, ...]:
        return self.checkpoints + self.archived_logs + self.artifacts


class Housekeeper:
    """Looks through Redis and the bucket."""

    def __init__(self, state: JobStore, logs: Logs, objects: ObjectStore, retention: Retention) -> None:
        self._state = state
        self._connection: Redis = state.connection
        self._logs = logs
        self._objects = objects
        self._installation = Installation(state.connection, objects)
        self._retention = retention

    def find(self) -> Garbage:
        """Return what can be removed; removes nothing.

        Raises:
            Conflict: Redis lost data, or the bucket is another installation's: what it refers to is not known.
        """
        self._installation.require()
        now = self._state.clock.now()
        heads = self._heads()
        forgotten = self._forgotten(heads, now)
        kept = {job: head for job, head in heads.items() if job not in forgotten}
        referred = self._referred(kept)
        return Garbage(
            jobs=tuple(forgotten),
            live_logs=tuple(self._live_logs(kept, now)),
            checkpoints=tuple(entry for entry in self._below(bucket.CHECKPOINTS) if self._is_over(entry, kept, now)),
            archived_logs=tuple(entry for entry in self._below(bucket.JOBS) if bucket.job_of(entry.key) not in kept),
            artifacts=tuple(e for e in self._below(bucket.ARTIFACTS) if bucket.digest_of(e.key) not in referred),
            leftovers=(*self._unattended(), *self._unleased()),
        )

    def remove(self, garbage: Garbage) -> None:
        """Remove what was found, but for what has been referred to since. Stopped half way, it can be run again.

        Raises:
            Conflict: as `find`.
        """
        self._installation.require()
        for key, field in garbage.leftovers:
            self._connection.hdel(key, field)
        for job in garbage.live_logs:
            self._logs.drop_live(job)
        for job in garbage.jobs:
            self._forget(self._state.job(job))
        referred = self._referred(self._heads())
        gone = [entry.key for entry in garbage.objects if bucket.digest_of(entry.key) not in referred]
        self._objects.delete(gone)

    def _heads(self) -> dict[str, JobHead]:
        jobs = (job.decode() for job in self._connection.zrange(keys.JOBS, 0, -1))
        return {job: self._head(job) for job in jobs}

    def _head(self, job: str) -> JobHead:
        try:
            return self._state.head(job)
        except CorruptArtifact:
            # Nobody can say that it has ended.
            return JobHead()

    # -- what is over --------------------------------------------------------------------------

    def _forgotten(self, heads: dict[str, JobHead], now: float) -> list[str]:
        needed = set(self._connection.zrange(keys.UNARCHIVED, 0, -1))
        for head in heads.values():
            older = head.retry_of if head.status not in JOB_ENDED else None
            while older is not None and older in heads:
                needed.add(older.encode())
                older = heads[older].retry_of
        return [
            job
            for job, head in heads.items()
            if job.encode() not in needed and _ended_for(head, now) > self._retention.jobs_s
        ]

    def _live_logs(self, heads: dict[str, JobHead], now: float) -> Iterator[str]:
        for job, head in heads.items():
            over = _ended_for(head, now) > self._retention.live_logs_s
            if over and self._connection.exists(keys.log(job)) and self._logs.is_archived(job):
                yield job

    def _is_over(self, checkpoint: Entry, kept: dict[str, JobHead], now: float) -> bool:
        head = kept.get(bucket.job_of(checkpoint.key))
        return head is None or _ended_for(head, now) > self._retention.checkpoints_s

    def _unattended(self) -> Iterator[Leftover]:
        """Yield numbers of workers that were set for queues of which nothing else is left."""
        queues = self._state.queues
        alive = {*QUEUES, *queues.listened(), *(name for name, count in queues.lengths().items() if count)}
        for name in self._connection.hkeys(keys.FLEET):
            if name.decode(errors="replace") not in alive:
                yield Leftover(keys.FLEET, name)

    def _unleased(self) -> Iterator[Leftover]:
        """Yield what attempts that lost their lease had reserved of devices; none of them gets a lease again."""
        for key in self._connection.scan_iter(keys.device("*"), count=1000):
            for attempt in self._connection.hkeys(key):
                if self._connection.zscore(keys.LEASES, attempt) is None:
                    yield Leftover(key, attempt)

    # -- what is referred to -------------------------------------------------------------------

    def _referred(self, jobs: dict[str, JobHead]) -> set[str]:
        """Return the digests of all artifacts that anything refers to."""
        return {artifact.sha256 for artifact in self._references(jobs)}

    def _references(self, jobs: dict[str, JobHead]) -> Iterator[Artifact]:
        for job in jobs:
            # Of batches the configs name the texts and the model's files.
            for node in self._state.plan(job).nodes.values():
                yield from artifacts_in(node.config)
            for output in self._connection.hvals(keys.outputs(job)):
                yield from artifacts_in(json.loads(output))
        for key in self._connection.scan_iter(keys.cache("*"), count=1000):
            found = self._connection.get(key)
            if found is not None:
                yield from artifacts_in(json.loads(found))
        for prefix in (bucket.MODELS, bucket.DATASETS):
            for key in self._objects.keys(prefix):
                if bucket.is_manifest(key):
                    yield from artifacts_in(self._objects.get_manifest(key))

    def _below(self, prefix: str) -> Iterator[Entry]:
        return (entry for entry in self._objects.entries(prefix) if entry.age_s > YOUNGEST_S)

    # -- removing ------------------------------------------------------------------------------

    def _forget(self, job: Job) -> None:
        with self._connection.pipeline() as pipe:
            pipe.zrem(keys.JOBS, job.id)
            remove_from_index(pipe, job.id, job.plan.name)
            pipe.delete(*(of(job.id) for of in (keys.state, keys.outputs, keys.progress, keys.said, keys.log)))
            for node in job.plan.nodes.values():
                if node.makes_version:
                    model = node.config.get("model_name") or job.plan.name
                    pipe.hdel(keys.reserved(model), *reservation_fields(job.id, node))
            # Last: whoever finds no plan takes the job for gone.
            pipe.delete(keys.plan(job.id))
            pipe.execute()


def _ended_for(head: JobHead, now: float) -> float:
    """Return for how many seconds a job has been over; below 0 where it is not."""
    return now - head.ended_at if head.status in JOB_ENDED and head.ended_at else -1.0
