"""Which jobs have a status or a name: sorted sets by time of submission, written with the state they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from redis import Redis, WatchError
from redis.client import Pipeline

from agents.base.errors import CorruptArtifact, NotFound
from agents.base.identifiers import is_name
from pipelines.engine.state import keys
from pipelines.engine.state.job import JobHead, JobStatus
from pipelines.engine.state.job_reader import JobReader, as_head
from pipelines.plan import Plan

ALL: tuple[str, ...] = (*get_args(JobStatus), keys.UNREADABLE)
#: Jobs that are taken into the index in one transaction.
BATCH = 100


@dataclass(frozen=True, slots=True)
class ListedJob:
    """One job of a list."""

    id: str
    plan: Plan
    head: JobHead


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some of the jobs that were asked for, and how many there are in all."""

    jobs: tuple[ListedJob, ...]
    total: int


def add_to_index(pipe: Pipeline, job: str, name: str, head: JobHead) -> None:
    """Put a job into the index, as part of the caller's transaction."""
    row = {job: head.created_at}
    for key in (keys.jobs_named(name), keys.jobs_of_status(head.status), keys.jobs_of_status_named(head.status, name)):
        pipe.zadd(key, row)


def move_in_index(pipe: Pipeline, job: str, name: str, before: JobStatus, head: JobHead) -> None:
    """Note a job's new status, as part of the transaction that writes it."""
    for key in (keys.jobs_of_status, lambda status: keys.jobs_of_status_named(status, name)):
        pipe.zrem(key(before), job)
        pipe.zadd(key(head.status), {job: head.created_at})


def remove_from_index(pipe: Pipeline, job: str, name: str) -> None:
    """Take a job out of the index, as part of the transaction that forgets it."""
    for status in ALL:
        pipe.zrem(keys.jobs_of_status(status), job)
        pipe.zrem(keys.jobs_of_status_named(status, name), job)
    pipe.zrem(keys.jobs_named(name), job)


class JobIndex:
    """Lists jobs, and takes in those that a release without an index has stored or changed."""

    def __init__(self, reader: JobReader) -> None:
        self._reader = reader
        self._connection: Redis = reader.connection

    def page(self, status: JobStatus | None, name: str | None, offset: int, limit: int) -> JobPage:
        """Return jobs of a status and a name (None: of any), newest first."""
        if name and not is_name(name):
            return JobPage((), 0)
        if status or name:
            self._complete()
        key = _key(status, name)
        while True:
            with self._connection.pipeline(transaction=False) as pipe:
                pipe.zcard(key)
                pipe.zrevrange(key, offset, offset + limit - 1)
                total, found = pipe.execute()
            jobs = self._listed([job.decode() for job in found])
            moved = [job.id for job in jobs if status not in {None, job.head.status}]
            if not moved:
                return JobPage(tuple(jobs), total)
            self._take_in(moved)

    def rebuild(self) -> None:
        """Rebuild the index from the jobs themselves."""
        jobs = self._ids(keys.JOBS)
        self._drop({job for status in ALL for job in self._ids(keys.jobs_of_status(status))}.difference(jobs))
        for start in range(0, len(jobs), BATCH):
            self._take_in(jobs[start : start + BATCH])

    def _complete(self) -> None:
        """Take in what a release without an index has stored or forgotten: then the numbers of jobs differ."""
        with self._connection.pipeline(transaction=False) as pipe:
            for key in (keys.JOBS, *map(keys.jobs_of_status, ALL)):
                pipe.zcard(key)
            total, *by_status = pipe.execute()
        if total != sum(by_status):
            self.rebuild()
        elif by_status[-1]:
            # A process of another release could not read them.
            self._take_in(self._ids(keys.jobs_of_status(keys.UNREADABLE))[:BATCH])

    def _ids(self, key: str) -> list[str]:
        return [job.decode() for job in self._connection.zrange(key, 0, -1)]

    def _drop(self, jobs: set[str]) -> None:
        """Take jobs out of the index that are gone, and their names with them."""
        if jobs:
            found = list(self._connection.scan_iter(keys.jobs_named("*"), count=1000))
            with self._connection.pipeline() as pipe:
                for key in (*found, *map(keys.jobs_of_status, ALL)):
                    pipe.zrem(key, *jobs)
                pipe.execute()

    def _take_in(self, jobs: Sequence[str]) -> None:
        """Index jobs by what they are now, whatever the index said of them before."""
        names = {job: self._name(job) for job in jobs}
        with self._connection.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(*map(keys.state, jobs))
                    heads = self._heads(jobs)
                    pipe.multi()
                    for job, head in zip(jobs, heads, strict=True):
                        remove_from_index(pipe, job, names[job])
                        if head is None or not names[job]:
                            pipe.zadd(keys.jobs_of_status(keys.UNREADABLE), {job: 0})
                        else:
                            add_to_index(pipe, job, names[job], head)
                    pipe.execute()
                    return
                except WatchError:
                    continue

    def _name(self, job: str) -> str:
        """Return a job's name; empty where its plan can't be read."""
        try:
            return self._reader.plan(job).name
        except (NotFound, ValueError):
            return ""

    def _heads(self, jobs: Sequence[str]) -> list[JobHead | None]:
        with self._connection.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hget(keys.state(job), "head")
            return [_readable(found) if found else None for found in pipe.execute()]

    def _listed(self, jobs: Sequence[str]) -> list[ListedJob]:
        """Return jobs with their plans and heads, without those that were forgotten meanwhile."""
        listed = []
        for job, head in zip(jobs, self._heads(jobs), strict=True):
            if head is not None:
                try:
                    listed.append(ListedJob(job, self._reader.plan(job), head))
                except (NotFound, ValueError):
                    continue
        return listed


def _readable(head: bytes) -> JobHead | None:
    """Return a head; None for one that this release can't read."""
    try:
        return as_head(head)
    except CorruptArtifact:
        return None


def _key(status: JobStatus | None, name: str | None) -> str:
    if status and name:
        return keys.jobs_of_status_named(status, name)
    if status:
        return keys.jobs_of_status(status)
    return keys.jobs_named(name) if name else keys.JOBS
