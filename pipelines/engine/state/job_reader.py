"""Job state in Redis, read: plans, jobs, heads, progress."""

import json
from functools import lru_cache
from typing import Any

from redis import Redis
from redis.client import Pipeline

from agents.base.errors import NotFound
from pipelines.engine.attempt_id import AttemptId, NamedAttemptId
from pipelines.engine.state import keys
from pipelines.engine.state.job import Job, JobHead, NodeState
from pipelines.plan import Plan, PlannedNode

#: Plans never change: so many stay in memory.
PLANS_KEPT = 64


class JobReader:
    """Reads what `JobStore` writes."""

    def __init__(self, connection: "Redis") -> None:
        self.connection = connection
        self._cached_plan = lru_cache(maxsize=PLANS_KEPT)(self._read_plan)
        self._cached_numbers = lru_cache(maxsize=PLANS_KEPT)(self._read_numbers)

    def plan(self, job_id: str) -> Plan:
        """Return a job's plan; kept in this process, since it never changes.

        Raises:
            NotFound: no such job.
        """
        return self._cached_plan(job_id)

    def job(self, job_id: str) -> Job:
        """Return the whole job.

        Raises:
            NotFound: no such job.
        """
        plan = self.plan(job_id)
        with self.connection.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.state(job_id))
            pipe.hgetall(keys.outputs(job_id))
            states, outputs = pipe.execute()
        if not states:
            raise _no_job(job_id)
        nodes = {name: as_state(states[node_field(name).encode()]) for name in plan.nodes}
        return Job(
            job_id, plan, as_head(states[b"head"]), nodes, {k.decode(): json.loads(v) for k, v in outputs.items()}
        )

    def head(self, job_id: str) -> JobHead:
        """Return a job's head.

        Raises:
            NotFound: no such job.
        """
        found = self.connection.hget(keys.state(job_id), "head")
        if found is None:
            raise _no_job(job_id)
        return as_head(found)

    def node(self, attempt: AttemptId) -> PlannedNode:
        """Return the node that an attempt is made at.

        Raises:
            NotFound: no such job.
            ValueError: the job has no node of this number.
        """
        found = self._cached_numbers(attempt.job).get(attempt.node)
        if found is None:
            raise ValueError(f"{attempt.job} has no node number {attempt.node}.")
        return found

    def attempt(self, entry: bytes) -> AttemptId:
        """Return the attempt that an entry in Redis names, also one that an older release wrote with the node's name.

        Raises:
            NotFound: no such job.
            ValueError: the entry does not name an attempt at a node of its job.
        """
        text = entry.decode()
        named = NamedAttemptId.parse(text)
        if named is None:
            return AttemptId.parse(text)
        node = self.plan(named.job).nodes.get(named.name)
        if node is None:
            raise ValueError(f"{named.job} has no node '{named.name[:200]}'.")
        return AttemptId(named.job, node.number, named.attempt)

    def run(self, entry: bytes) -> tuple[AttemptId, str] | None:
        """Return the attempt that an entry names with the name of its node; None where it names none."""
        try:
            attempt = self.attempt(entry)
            return attempt, self.node(attempt).name
        except (NotFound, ValueError):
            return None

    def progress(self, job_id: str) -> dict[str, dict[str, Any]]:
        """Return the newest progress of each node that has said any: node -> `{"done", "total", "eta_s", ...}`."""
        found = self.connection.hgetall(keys.progress(job_id))
        return {node.decode(): json.loads(progress) for node, progress in found.items()}

    def job_ids(self, offset: int = 0, limit: int = 50) -> list[str]:
        """Return jobs, newest first."""
        return [found.decode() for found in self.connection.zrevrange(keys.JOBS, offset, offset + limit - 1)]

    def watched_job(self, pipe: Pipeline, job_id: str, plan: Plan, names: list[str], with_output: list[str]) -> Job:
        """Return a job with the states and the outputs of some nodes only, over a connection that watches its key.

        Raises:
            NotFound: no such job.
        """
        head, *states = pipe.hmget(keys.state(job_id), ["head", *(node_field(name) for name in names)])
        if head is None:
            raise _no_job(job_id)
        found = pipe.hmget(keys.outputs(job_id), with_output) if with_output else []
        outputs = {name: json.loads(value) for name, value in zip(with_output, found, strict=True) if value}
        nodes = {name: as_state(value) for name, value in zip(names, states, strict=True)}
        return Job(job_id, plan, as_head(head), nodes, outputs)

    def _read_numbers(self, job_id: str) -> dict[int, PlannedNode]:
        return {node.number: node for node in self.plan(job_id).nodes.values()}

    def _read_plan(self, job_id: str) -> Plan:
        found = self.connection.get(keys.plan(job_id))
        if found is None:
            raise _no_job(job_id)
        return Plan.model_validate_json(found)


def node_field(node: str) -> str:
    """Return the field of a job's hash that holds a node's state."""
    return f"node:{node}"


def as_head(value: bytes) -> JobHead:
    """Return a head from its JSON."""
    return JobHead(**json.loads(value))


def as_state(value: bytes) -> NodeState:
    """Return a node's state from its JSON."""
    return NodeState(**json.loads(value))


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"There is no job '{job_id}'.", cure="See `tuneline jobs` for those there are.")
