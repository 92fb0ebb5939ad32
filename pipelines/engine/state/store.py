"""Job state in Redis: what a decision changes, and the messages it causes, in one transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import WatchError

from agents.base.errors import Conflict
from agents.base.strict_json import RECORD, encode
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys
from pipelines.engine.state.clock import ServerClock
from pipelines.engine.state.decide import decide, first_head, first_states, scope
from pipelines.engine.state.job import (
    JOB_ENDED,
    Claimed,
    Decision,
    Event,
    Job,
    LogLine,
    NodeState,
    Promotion,
    Submitted,
)
from pipelines.engine.state.job_index import add_to_index, move_in_index
from pipelines.engine.state.job_reader import JobReader, as_state, node_field
from pipelines.engine.state.message import Message
from pipelines.engine.state.queue import NodeQueues, message_for
from pipelines.engine.state.share import Share
from pipelines.plan import Plan

IDEMPOTENCY_TTL_S = 7 * 86400


@dataclass(frozen=True)
class Claim:
    """What a worker gets with an attempt: its message, the outputs it needs, and what came before."""

    attempt: AttemptId
    message: Message
    outputs: list[dict[str, Any]]
    notes: dict[str, Any]
    retry_of: str | None


class JobStore(JobReader):
    """The only place that writes job state."""

    def __init__(self, connection: "Redis", *, lease_ttl_s: float, log_max_entries: int, queue_share: int) -> None:
        """`queue_share`: messages of one job that wait in a queue at once."""
        super().__init__(connection)
        self._queue_share = queue_share
        self.clock = ServerClock(connection)
        self.queues = NodeQueues(connection)
        self._lease_ttl_s = lease_ttl_s
        self._log_max_entries = log_max_entries

    # -- writing -------------------------------------------------------------------------------

    def submit(
        self,
        job_id: str,
        plan: Plan,
        *,
        done: Mapping[str, dict[str, Any]] | None = None,
        retry_of: str | None = None,
        idempotency: tuple[str, str] | None = None,
    ) -> str:
        """Store a job and queue its first nodes; return its id.

        `idempotency` is (key, digest of the request): where the key is known the first job's id comes back.

        Raises:
            Conflict: the key was used for another request.
        """
        now = self.clock.now()
        job = Job(job_id, plan, first_head(now, retry_of), first_states(plan), {})
        decision = decide(job, Submitted(dict(done or {})), now)
        with self.connection.pipeline() as pipe:
            while True:
                try:
                    # Watched, so that a transaction whose answer was lost is not sent a second time.
                    pipe.watch(keys.plan(job_id))
                    if pipe.exists(keys.plan(job_id)):
                        return job_id
                    if idempotency:
                        pipe.watch(keys.idempotency(idempotency[0]))
                        known = pipe.get(keys.idempotency(idempotency[0]))
                        if known and (first := self._same_request(pipe, json.loads(known), idempotency)):
                            return first
                    pipe.multi()
                    if idempotency:
                        record = json.dumps({"job": job_id, "digest": idempotency[1]})
                        pipe.set(keys.idempotency(idempotency[0]), record, ex=IDEMPOTENCY_TTL_S)
                    pipe.zadd(keys.JOBS, {job_id: now})
                    add_to_index(pipe, job_id, plan.name, job.head)
                    pipe.set(keys.plan(job_id), plan.model_dump_json())
                    self._write_states(pipe, job_id, {**job.nodes, **decision.nodes})
                    self._write(pipe, job, decision, now)
                    pipe.execute()
                    return job_id
                except WatchError:
                    continue

    def claim(self, job_id: str, event: Claimed) -> Claim:
        """Take an attempt for a worker, and read in the same transaction what it needs to start.

        Raises:
            Fenced: it is another's, over, or no longer wanted.
            NotFound: no such job.
        """
        _, claim = self.commit(job_id, event)
        assert claim is not None
        return claim

    def apply(self, job_id: str, event: Event) -> Decision:
        """Decide on an event and write what it changes, at once or not at all.

        Raises:
            Fenced, Conflict: as `decide` says; nothing was written.
            NotFound: no such job.
        """
        return self.commit(job_id, event)[0]

    def commit(
        self,
        job_id: str,
        event: Event,
        extra: Sequence[tuple[str, ...]] = (),
        taker: tuple[str, str] | None = None,
    ) -> tuple[Decision, Claim | None]:
        """Apply an event; return the decision, and the attempt that was claimed with it, if any.

        `extra` are further commands for the same transaction, such as a cache entry. `taker` is
        (worker, queue): see `Orchestrator.node_ended`.

        Raises:
            Fenced, Conflict, NotFound: as `apply`.
        """
        plan = self.plan(job_id)
        names, with_output = scope(plan, event)
        with self.connection.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(keys.state(job_id))
                    job = self.watched_job(pipe, job_id, plan, names, with_output)
                    now = self.clock.now()
                    decision = decide(job, event, now)
                    if taker and decision.queue:
                        decision = self._taken(pipe, job, decision, taker, now)
                    champion = self._watched_champion(pipe, decision.promotion)
                    pipe.multi()
                    if decision.promotion:
                        # Before the rest, so that the job's last log record is that of its end.
                        self._promote(pipe, job_id, decision.promotion, champion, now)
                    self._write_states(pipe, job_id, decision.nodes)
                    self._write(pipe, job, decision, now)
                    for command in extra:
                        pipe.execute_command(*command)
                    return decision, self._executed(pipe, job, decision)
                except WatchError:
                    continue

    def _taken(self, pipe: Pipeline, job: Job, decision: Decision, taker: tuple[str, str], now: float) -> Decision:
        """Claim one of the nodes that became ready for the worker that made it so, if nothing waits before it."""
        worker, queue = taker
        name = next((name for name in decision.queue if job.plan.nodes[name].queue == queue), None)
        if name is None or not self.queues.is_empty(queue, pipe):
            return decision
        job = replace(job, head=decision.head, nodes={**job.nodes, **decision.nodes})
        claim = decide(job, Claimed(name, decision.nodes[name].attempt, worker), now)
        return replace(
            decision,
            head=claim.head,
            nodes={**decision.nodes, **claim.nodes},
            queue=tuple(other for other in decision.queue if other != name),
            leased=name,
            log=decision.log + claim.log,
        )

    def _executed(self, pipe: Pipeline, job: Job, decision: Decision) -> Claim | None:
        """Execute the transaction; where it leases an attempt, read the outputs that attempt needs with it."""
        if decision.leased is None:
            pipe.execute()
            return None
        node, state = job.plan.nodes[decision.leased], decision.nodes[decision.leased]
        outputs = []
        if node.inputs:
            pipe.hmget(keys.outputs(job.id), node.inputs)
            outputs = [json.loads(output) for output in pipe.execute()[-1]]
        else:
            pipe.execute()
        attempt = AttemptId(job.id, node.number, state.attempt)
        return Claim(attempt, message_for(attempt, node), outputs, state.notes, decision.head.retry_of)

    def resend(self, attempt: AttemptId) -> bool:
        """Queue the message of a ready node once more; False where the node is no longer ready."""
        planned, key = self.node(attempt), attempt.key()
        with self.connection.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(keys.state(attempt.job))
                    found = pipe.hget(keys.state(attempt.job), node_field(planned.name))
                    state = as_state(found) if found else None
                    wanted = state is not None and (state.status, state.attempt) == ("ready", attempt.attempt)
                    pipe.multi()
                    pipe.zrem(keys.SENT, key)
                    if wanted:
                        self.queues.remove(planned.queue, key, pipe)
                        self.queues.send(planned.queue, [(key, message_for(attempt, planned))], pipe)
                        pipe.zadd(keys.SENT, {key: self.clock.now()})
                    pipe.execute()
                    return wanted
                except WatchError:
                    continue

    def _write(self, pipe: Pipeline, job: Job, decision: Decision, now: float) -> None:
        if decision.head != job.head:
            pipe.hset(keys.state(job.id), "head", json.dumps(decision.head.as_record()))
        if decision.head.status != job.head.status:
            move_in_index(pipe, job.id, job.plan.name, job.head.status, decision.head)
        for name, output in decision.outputs.items():
            pipe.hset(keys.outputs(job.id), name, encode(output).text)
        if decision.leased:
            attempt = attempt_at(job, decision.leased, decision.nodes[decision.leased].attempt)
            pipe.zadd(keys.LEASES, {attempt.key(): now + self._lease_ttl_s})
        for node, number in decision.released:
            released = attempt_at(job, node, number).key()
            pipe.zrem(keys.LEASES, released)
            pipe.hdel(keys.said(job.id), released)
        for node in decision.due:
            state = decision.nodes[node]
            pipe.zadd(keys.DUE, {attempt_at(job, node, state.attempt).key(): state.due_at or now})
        self._unqueue(pipe, job, decision, now)
        self._queue(pipe, job, decision, now)
        for line in decision.log:
            self.append_log(pipe, job.id, line)
        if decision.head.status in JOB_ENDED and job.head.status not in JOB_ENDED:
            pipe.zadd(keys.UNARCHIVED, {job.id: now})

    def _queue(self, pipe: Pipeline, job: Job, decision: Decision, now: float) -> None:
        by_queue: dict[str, list[str]] = {}
        for name in decision.queue:
            by_queue.setdefault(job.plan.nodes[name].queue, []).append(name)
        for queue, names in by_queue.items():
            attempts = {name: attempt_at(job, name, decision.nodes[name].attempt) for name in names}
            rows = [(each.key(), message_for(each, job.plan.nodes[name])) for name, each in attempts.items()]
            if self._may_hold_back(job):
                self.queues.keep(queue, rows, pipe)
                self._share(job.id, queue).send(pipe, [key for key, _ in rows], self._queue_share, now)
            else:
                self.queues.send(queue, rows, pipe)
                pipe.zadd(keys.SENT, {key: now for key, _ in rows})

    def _unqueue(self, pipe: Pipeline, job: Job, decision: Decision, now: float) -> None:
        """Remove the messages of nodes that are no longer ready: claimed, cancelled or paused."""
        left = [
            name
            for name, state in decision.nodes.items()
            if job.nodes[name].status == "ready" and state.status != "ready"
        ]
        for name in left:
            key = attempt_at(job, name, decision.nodes[name].attempt).key()
            self.queues.remove(job.plan.nodes[name].queue, key, pipe)
            pipe.zrem(keys.SENT, key)
        if left and self._may_hold_back(job):
            for queue in {job.plan.nodes[name].queue for name in left}:
                share = self._share(job.id, queue)
                if decision.leased:
                    share.send_next(pipe, now)
                else:
                    share.drop(pipe)

    def _may_hold_back(self, job: Job) -> bool:
        return job.plan.most_ready > self._queue_share

    def _share(self, job: str, queue: str) -> Share:
        return Share(job, queue, self.queues.key(queue))

    def send_next(self, job_id: str, queue: str) -> bool:
        """Send one of a job's messages that are held back; say whether there was one."""
        with self.connection.pipeline() as pipe:
            self._share(job_id, queue).send_next(pipe, self.clock.now())
            return bool(pipe.execute()[0])

    @staticmethod
    def _write_states(pipe: Pipeline, job_id: str, nodes: Mapping[str, NodeState]) -> None:
        if nodes:
            rows = {node_field(name): encode(state.as_record()).text for name, state in nodes.items()}
            pipe.hset(keys.state(job_id), mapping=rows)

    def append_log(self, pipe: Pipeline, job_id: str, line: LogLine) -> None:
        """Add a record to the job's log, as part of the caller's transaction."""
        fields = encode(line.fields, RECORD).text
        entry = {"level": line.level, "event": line.event, "node": line.node or "", "fields": fields}
        pipe.xadd(keys.log(job_id), entry, maxlen=self._log_max_entries, approximate=True)

    @staticmethod
    def _same_request(pipe: Pipeline, known: Mapping[str, str], idempotency: tuple[str, str]) -> str | None:
        """Return the job that a key made; None where that was forgotten, so that the key is free again."""
        pipe.watch(keys.plan(known["job"]))
        if not pipe.exists(keys.plan(known["job"])):
            return None
        if known["digest"] != idempotency[1]:
            raise Conflict(
                f"The Idempotency-Key '{idempotency[0]}' was used for another request, which made {known['job']}.",
                cure="Use a new key for a new request.",
            )
        return known["job"]

    # -- aliases -------------------------------------------------------------------------------

    @staticmethod
    def _watched_champion(pipe: Pipeline, promotion: Promotion | None) -> int | None:
        """Return the champion as it is now, and have the transaction fail if it changes."""
        if promotion is None:
            return None
        pipe.watch(keys.aliases(promotion.model))
        found = pipe.hget(keys.aliases(promotion.model), "champion")
        return int(found) if found else None

    def _promote(self, pipe: Pipeline, job_id: str, promotion: Promotion, champion: int | None, now: float) -> None:
        model, version = promotion.model, promotion.version
        if champion == version:
            return
        if champion != promotion.instead_of:
            fields = {"model": model, "version": version, "champion": champion, "judged_against": promotion.instead_of}
            self.append_log(pipe, job_id, LogLine("promotion_overtaken", level="warning", fields=fields))
            return
        move_alias(pipe, model, version, champion, {"at": now, "job": job_id, "why": "verdict PROMOTE"})
        fields = {"model": model, "version": version, "previous": champion}
        self.append_log(pipe, job_id, LogLine("champion_promoted", fields=fields))


def move_alias(pipe: Pipeline, model: str, version: int, champion: int | None, note: Mapping[str, Any]) -> None:
    """Point `champion` at a version and `previous` at the old champion, as part of a transaction."""
    pipe.hset(keys.aliases(model), "champion", version)
    if champion is not None:
        pipe.hset(keys.aliases(model), "previous", champion)
    pipe.lpush(keys.history(model), json.dumps({"version": version, "from": champion, **note}))


def attempt_at(job: Job, name: str, number: int) -> AttemptId:
    """Return the id of an attempt at a node of a job."""
    return AttemptId(job.id, job.plan.nodes[name].number, number)
