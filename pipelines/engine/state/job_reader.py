"""Job state in Redis, read: plans, jobs, heads, progress."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, islice
from typing import Any

from pydantic import TypeAdapter
from redis import Redis
from redis.client import Pipeline

from agents.base.errors import CorruptArtifact, NotFound
from agents.base.identifiers import is_job_id
from agents.base.names import printable
from agents.base.strict_json import decode, finite_number
from pipelines.engine.attempt_id import AttemptId, NamedAttemptId
from pipelines.engine.state import keys
from pipelines.engine.state.job import Job, JobHead, NodeState
from pipelines.plan import Plan, PlannedNode

#: Plans never change: so many stay in memory.
PLANS_KEPT = 64
#: So much of the outputs of a job's nodes is shown at once.
SHOWN_MOST_BYTES = 4 << 20
#: For those who show jobs: fields of a newer release are left out, wrong kinds are refused.
HEADS, STATES = TypeAdapter(JobHead), TypeAdapter(NodeState)


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job with some of its nodes, as it is shown: whatever of it can't be read says so instead of failing."""

    job: Job
    """`nodes` has those that are shown and those that they need; `outputs` those of the former."""
    names: tuple[str, ...]
    """The nodes that are shown, in order."""
    progress: dict[str, dict[str, Any]]


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
            raise no_job(job_id)
        nodes = {name: as_state(states[node_field(name).encode()]) for name in plan.nodes}
        return Job(
            job_id, plan, as_head(states[b"head"]), nodes, {k.decode(): json.loads(v) for k, v in outputs.items()}
        )

    def head(self, job_id: str) -> JobHead:
        """Return a job's head.

        Raises:
            NotFound: no such job.
        """
        check_job_id(job_id)
        found = self.connection.hget(keys.state(job_id), "head")
        if found is None:
            raise no_job(job_id)
        return as_head(found)

    def shown(self, job_id: str, offset: int, limit: int) -> ShownJob:
        """Return a job with at most `limit` of its nodes from number `offset` on; fewer where their outputs are large.

        Raises:
            NotFound: no such job.
        """
        plan = self.plan(job_id)
        names = tuple(islice(plan.nodes, offset, offset + limit))
        # What they need too, to say what they wait for.
        read = tuple(dict.fromkeys((*names, *(need for name in names for need in plan.nodes[name].needs))))
        with self.connection.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.state(job_id), ["head", *map(node_field, read)])
            for key in (keys.outputs(job_id), keys.progress(job_id)):
                pipe.hmget(key, names or ("",))
            (head, *states), outputs, progress = pipe.execute()
        if head is None:
            raise no_job(job_id)
        names = names[: _fitting(outputs)]
        nodes = {name: shown_state(state) for name, state in zip(read, states, strict=True)}
        job = Job(job_id, plan, shown_head(head), nodes, _objects(names, outputs))
        far = {name: found for name, found in _objects(names, progress).items() if _is_far(found)}
        return ShownJob(job, names, far)

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
        check_job_id(job_id)
        found = self.connection.hgetall(keys.progress(job_id))
        read = _objects([node.decode(errors="replace") for node in found], list(found.values()))
        return {node: progress for node, progress in read.items() if _is_far(progress)}

    def outputs(self, job_id: str) -> dict[str, dict[str, Any]]:
        """Return the outputs of a job's nodes, in the order of the plan, without those that can't be read.

        Raises:
            NotFound: no such job.
        """
        plan = self.plan(job_id)
        if not self.connection.exists(keys.state(job_id)):
            raise no_job(job_id)
        found = self.connection.hgetall(keys.outputs(job_id))
        return _objects(tuple(plan.nodes), [found.get(name.encode()) for name in plan.nodes])

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
            raise no_job(job_id)
        found = pipe.hmget(keys.outputs(job_id), with_output) if with_output else []
        outputs = {name: json.loads(value) for name, value in zip(with_output, found, strict=True) if value}
        nodes = {name: as_state(value) for name, value in zip(names, states, strict=True)}
        return Job(job_id, plan, as_head(head), nodes, outputs)

    def _read_numbers(self, job_id: str) -> dict[int, PlannedNode]:
        return {node.number: node for node in self.plan(job_id).nodes.values()}

    def _read_plan(self, job_id: str) -> Plan:
        check_job_id(job_id)
        found = self.connection.get(keys.plan(job_id))
        if found is None:
            raise no_job(job_id)
        return Plan.model_validate_json(found)


def node_field(node: str) -> str:
    """Return the field of a job's hash that holds a node's state."""
    return f"node:{node}"


def as_head(value: bytes) -> JobHead:
    """Return a head from its JSON.

    Raises:
        CorruptArtifact: it is not one.
    """
    try:
        return JobHead(**json.loads(value))
    except (TypeError, ValueError) as fault:
        raise _corrupt("job", fault) from fault


def as_state(value: bytes) -> NodeState:
    """Return a node's state from its JSON.

    Raises:
        CorruptArtifact: it is not one.
    """
    try:
        return NodeState(**json.loads(value))
    except (TypeError, ValueError) as fault:
        raise _corrupt("node", fault) from fault


def _corrupt(what: str, fault: Exception) -> CorruptArtifact:
    return CorruptArtifact(
        f"What Redis keeps of a {what} can't be read ({type(fault).__name__}: {fault}).",
        cure="Another program, or a newer release, may have written it: submit the job again.",
    )


def shown_head(value: bytes) -> JobHead:
    """Return a head as it is shown; of one that can't be read nothing is known."""
    try:
        return HEADS.validate_python(decode(value).value)
    except ValueError:
        return JobHead()


def shown_state(value: bytes | None) -> NodeState:
    """Return a node's state as it is shown; one that can't be read says so."""
    try:
        return STATES.validate_python(decode(value or b"").value)
    except ValueError:
        message = "What is kept of this node can't be read: another program may have changed it."
        return NodeState(error={"error": "CORRUPT_ARTIFACT", "message": message, "details": []})


def _objects(names: Sequence[str], values: Sequence[bytes | None]) -> dict[str, dict[str, Any]]:
    """Return name -> object of those values that are JSON objects."""
    found = {}
    for name, value in zip(names, values, strict=False):
        try:
            read = decode(value).value if value is not None else None
        except ValueError:
            read = None
        if isinstance(read, dict):
            found[name] = read
    return found


def _fitting(outputs: Sequence[bytes | None]) -> int:
    """Return how many of these outputs are shown at once: one at least."""
    total = accumulate(len(output or b"") for output in outputs)
    return max(1, sum(1 for size in total if size <= SHOWN_MOST_BYTES))


def _is_far(progress: dict[str, Any]) -> bool:
    """Say whether a record of progress has the figures that make it one."""
    return all(finite_number(progress.get(figure)) is not None for figure in ("done", "total"))


def check_job_id(job_id: str) -> None:
    """See that a text can be the id of a job: others are parts of keys of something else.

    Raises:
        NotFound: it can't, so there is no such job.
    """
    if not is_job_id(job_id):
        raise no_job(job_id)


def no_job(job_id: str) -> NotFound:
    """Return the error of a job that is not there."""
    return NotFound(f"There is no job '{printable(job_id)}'.", cure="See `tuneline jobs` for those there are.")
