"""The orchestrator: takes an event, reads, decides, writes, returns. It never waits.

Everything that happens to a job passes through here: submit and the wishes of users from the API,
claims and ends of attempts from workers, lost leases and due retries from the sweeper.
"""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from ulid import ULID

from agents import Agent, AgentEntry, load_agent
from agents.base.errors import Conflict, Fenced, NotFound, StopKind
from pipelines.caps import Caps
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.retries import Changes, check_retry, request_of, taken_over
from pipelines.engine.state.cache import digest
from pipelines.engine.state.installation import known_standing
from pipelines.engine.state.job import (
    JOB_ENDED,
    Claimed,
    Decision,
    Due,
    Event,
    Failed,
    JobHead,
    Lost,
    NodeEvent,
    ResumeAsked,
    StopAsked,
)
from pipelines.engine.state.store import Claim, JobStore
from pipelines.judge import judge
from pipelines.plan import Plan

NOTHING_CHANGED = Changes()
#: So many queues may have messages at a time, beside those of agents.
QUEUES_MOST = 100


class Orchestrator:
    """Any number of these may run, in any process: all they know is in Redis."""

    def __init__(self, state: JobStore, agents: Mapping[str, AgentEntry], caps: Caps | None = None) -> None:
        self.state = state
        self.agents = agents
        self.caps = caps or Caps()

    # -- wishes of users -----------------------------------------------------------------------

    def submit(
        self,
        spec: Any,
        params: Mapping[str, Any],
        idempotency_key: str | None = None,
        *,
        started_by_us: bool = False,
    ) -> str:
        """Judge a spec, store it as a job and queue its first nodes; return the job's id.

        `started_by_us`: the spec is not a user's, and may name agents that users' specs may not.

        Raises:
            InvalidSpec: all faults of the spec.
            Conflict: the idempotency key was used for another spec; there would be too many queues; or the job is to
                make a version, and Redis lost data.
        """
        agents = self.agents
        if started_by_us:
            agents = {name: entry._replace(started_by=None) for name, entry in agents.items()}
        plan = self._judged(spec, params, agents)
        body = digest(json.loads(json.dumps({"spec": spec, "params": dict(params)}, default=str)))
        idempotency = (idempotency_key, body) if idempotency_key else None
        return self.state.submit(_new_id(), plan, idempotency=idempotency)

    def _judged(self, spec: Any, params: Mapping[str, Any], agents: Mapping[str, AgentEntry]) -> Plan:
        """Return the plan of a spec, if this installation can work on it. Raises: as `submit`."""
        plan = judge(spec, params, agents, self.caps)
        self._check_queues(plan)
        if any(node.makes_version for node in plan.nodes.values()):
            # Before hours of training, whose export would be refused.
            standing = known_standing(self.state.connection)
            if standing.kind != "sound":
                raise standing.error()
        return plan

    def _check_queues(self, plan: Plan) -> None:
        """See that the number of all queues stays within bounds: each is listed and measured."""
        wanted = {node.queue for node in plan.nodes.values()}.difference(entry.queue for entry in self.agents.values())
        if wanted and len(wanted.union(self.state.queues.names())) > QUEUES_MOST:
            self.state.queues.forget_empty()
            count = len(wanted.union(self.state.queues.names()))
            if count > QUEUES_MOST:
                raise Conflict(
                    f"There would be {count:,} queues with messages; there can be {QUEUES_MOST:,}.",
                    cure="Name fewer queues in the spec, or start workers for those that wait: see GET /queues.",
                )

    def stop(self, job_id: str, kind: StopKind) -> JobHead:
        """Cancel or pause a job; asked twice it changes nothing more.

        Raises:
            NotFound: no such job.
            Conflict: it has ended already.
        """
        head = self.state.head(job_id)
        if head.stop == kind and head.status not in JOB_ENDED:
            return head
        return self.state.apply(job_id, StopAsked(kind)).head

    def resume(self, job_id: str) -> JobHead:
        """Let a paused job go on.

        Raises:
            NotFound, Conflict: no such job, or it is not paused.
        """
        return self.state.apply(job_id, ResumeAsked()).head

    def retry(self, job_id: str, changes: Changes = NOTHING_CHANGED) -> str:
        """Make a new job from an ended one, which takes over what its finished nodes did and does not change; return
        its id.

        Raises:
            NotFound: no such job.
            Conflict: it still runs, or completed and nothing is to be different, or its spec was not kept.
            InvalidSpec: all faults of the spec as it was changed.
        """
        job = self.state.job(job_id)
        check_retry(job, changes)
        plan = self._judged(*request_of(job.plan, changes), self.agents) if changes else job.plan
        return self.state.submit(_new_id(), plan, done=taken_over(job, plan, self._readers(plan)), retry_of=job_id)

    def _readers(self, plan: Plan) -> set[str]:
        """Return which agents of a plan read what their config names, such as a file of rows."""
        known = {node.agent for node in plan.nodes.values() if node.agent in self.agents}
        return {name for name in known if load_agent(self.agents[name].path).cache_inputs is not Agent.cache_inputs}

    # -- attempts ------------------------------------------------------------------------------

    def claim(self, job_id: str, node: str, attempt: int, worker: str) -> Claim:
        """Take an attempt for a worker, with the outputs it needs.

        Raises:
            Fenced: it is another's, over, or no longer wanted.
        """
        return self.state.claim(job_id, Claimed(node, attempt, worker))

    def node_ended(
        self, job_id: str, event: NodeEvent, extra: list[tuple[str, ...]], taker: tuple[str, str] | None = None
    ) -> tuple[Decision, Claim | None]:
        """Write the end of an attempt and queue what became ready.

        `taker` is (worker, queue): where that queue is empty, one node that became ready for it is
        claimed for the worker in the same transaction.

        Raises:
            Fenced: the attempt is no longer the current one; nothing was written.
        """
        return self.state.commit(job_id, event, extra, taker)

    @staticmethod
    def failure(node: str, attempt: int, error: dict[str, Any], retryable: bool, notes: dict[str, Any]) -> Failed:
        """Return the event of a failed attempt, with the chance that its backoff needs."""
        return Failed(node, attempt, error, retryable, random.random(), notes)

    # -- the sweeper's findings ----------------------------------------------------------------

    def lease_lost(self, attempt: AttemptId) -> Decision | None:
        """Queue a node again whose worker went silent; None where that is known already.

        Raises:
            ValueError: the job has no such node.
        """
        done = self.state.progress(attempt.job)
        return self._applied(attempt, lambda node: Lost(node, attempt.attempt, done.get(node, {}).get("done", 0.0)))

    def retry_due(self, attempt: AttemptId) -> Decision | None:
        """Queue a node again whose backoff is over; None where that is known already.

        Raises:
            ValueError: the job has no such node.
        """
        return self._applied(attempt, lambda node: Due(node, attempt.attempt))

    def _applied(self, attempt: AttemptId, event: Callable[[str], Event]) -> Decision | None:
        try:
            return self.state.apply(attempt.job, event(self.state.node(attempt).name))
        except (Fenced, NotFound):
            return None


def _new_id() -> str:
    return f"job_{ULID()}"
