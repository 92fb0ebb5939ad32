"""What comes next: `decide(job, event, now)` gives a Decision. Pure: no Redis, no clock, no chance."""

from dataclasses import replace
from typing import Any

from agents.base.errors import Conflict, Fenced
from pipelines.engine.job import (
    JOB_ENDED,
    NODE_DONE,
    NODE_ENDED,
    Claimed,
    Completed,
    Decision,
    Due,
    Event,
    Failed,
    Job,
    JobHead,
    LogLine,
    Lost,
    NodeEvent,
    NodeState,
    Promotion,
    ResumeAsked,
    StopAsked,
    Stopped,
    Submitted,
)
from pipelines.plan import Plan, PlannedNode
from pipelines.spec import When

BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 60.0
#: A node that takes its workers down with it is given up after so many of them, unless it gets further each time.
LOSSES_MOST = 5


def scope(plan: Plan, event: Event) -> tuple[list[str], list[str]]:
    """Return the nodes whose state, and those whose output, `decide` looks at for this event."""
    if isinstance(event, Claimed | Due):
        return [event.node], []
    if isinstance(event, Completed):
        children = plan.nodes[event.node].children
        conditions = [plan.nodes[child].when for child in children if plan.nodes[child].when]
        if not conditions:
            return [event.node, *children], []
        return list(plan.nodes), [c.output.rpartition(".")[0] for c in conditions if c and c.output]
    return list(plan.nodes), []


def backoff_s(failures: int, jitter: float) -> float:
    """Return the wait before another try: exponential, capped, half of it random.

    "Equal jitter" of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    longest = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** (failures - 1))
    return longest / 2 + longest / 2 * jitter


def decide(job: Job, event: Event, now: float) -> Decision:
    """Return what `event` changes.

    Raises:
        Fenced: the event comes from an attempt that is no longer the current one.
        Conflict: not possible in the job's present state.
    """
    draft = _Draft(job, now)
    match event:
        case Submitted():
            draft.submit(event)
        case Claimed():
            draft.claim(event)
        case Completed():
            draft.complete(event)
        case Failed():
            draft.fail(event)
        case Lost():
            draft.lose(event)
        case Stopped():
            draft.stopped(event)
        case Due():
            draft.due_again(event)
        case StopAsked():
            draft.stop(event)
        case ResumeAsked():
            draft.resume()
    return draft.decision()


class _Draft:
    """A decision in the making."""

    def __init__(self, job: Job, now: float) -> None:
        self.plan = job.plan
        self.now = now
        self.head = job.head
        self.nodes = dict(job.nodes)
        self.changed: set[str] = set()
        self.known_outputs = dict(job.outputs)
        self.outputs: dict[str, dict[str, Any]] = {}
        self.queue: list[str] = []
        self.due: list[str] = []
        self.released: list[tuple[str, int]] = []
        self.leased: str | None = None
        self.log: list[LogLine] = []
        self.promotion: Promotion | None = None
        self.was_ended = job.head.status in JOB_ENDED

    def decision(self) -> Decision:
        self._settle()
        return Decision(
            head=self.head,
            nodes={name: self.nodes[name] for name in sorted(self.changed)},
            outputs=self.outputs,
            queue=tuple(self.queue),
            leased=self.leased,
            released=tuple(self.released),
            due=tuple(self.due),
            log=tuple(self.log),
            promotion=self.promotion,
        )

    # -- events --------------------------------------------------------------------------------

    def submit(self, event: Submitted) -> None:
        self.head = replace(self.head, unfinished=len(self.nodes))
        self._say("job_submitted", pipeline=self.plan.name, nodes=len(self.nodes), retry_of=self.head.retry_of)
        for name, output in event.done.items():
            self.outputs[name] = self.known_outputs[name] = output
            self._end(name, "cached", cache={"hit": True, "reason": f"finished in {self.head.retry_of}"})
        for name, state in list(self.nodes.items()):
            if state.status == "waiting" and state.waiting_on == 0:
                self._open(name)

    def claim(self, event: Claimed) -> None:
        state = self.nodes[event.node]
        if state.status != "ready" or state.attempt != event.attempt or self.head.stop:
            raise Fenced(f"Attempt {event.attempt} at '{event.node}' can't start: the node is {state.status}.")
        started = self.head.started_at or self.now
        self.head = replace(self.head, status="running", running=self.head.running + 1, started_at=started)
        self._set(event.node, status="running", worker=event.worker, started_at=self.now, due_at=None)
        self.leased = event.node
        self._say("node_started", event.node, attempt=event.attempt, worker=event.worker)

    def complete(self, event: Completed) -> None:
        state = self._current(event)
        self.outputs[event.node] = self.known_outputs[event.node] = event.output
        self._leave(event)
        status = "cached" if event.cached else "completed"
        self._end(event.node, status, cache=event.cache)
        seconds = round(self.now - (state.started_at or self.now), 3)
        self._say(f"node_{status}", event.node, attempt=event.attempt, seconds=seconds, cache=event.cache)
        if self.plan.nodes[event.node].makes_version:
            self._promote(event.output)

    def fail(self, event: Failed) -> None:
        state = self._current(event)
        self._leave(event)
        failures = state.failures + 1
        left = self.plan.nodes[event.node].retries - state.failures
        if event.retryable and left > 0 and self.head.stop != "cancel":
            due_at = self.now + backoff_s(failures, event.jitter)
            notes = {**state.notes, **event.notes}
            self._again(event, due_at=due_at, failures=failures, error=event.error, notes=notes)
            wait_s = round(due_at - self.now, 1)
            self._say("node_retrying", event.node, "warning", error=event.error, retries_left=left, wait_s=wait_s)
        else:
            self._give_up(event, event.error)

    def lose(self, event: Lost) -> None:
        state = self._current(event)
        self._leave(event)
        losses = 1 if event.done > state.furthest else state.losses + 1
        self._set(event.node, furthest=max(event.done, state.furthest))
        message = f"Its worker {state.worker} went silent."
        error = {"error": "WORKER_LOST", "message": message, "details": []}
        if self.head.stop == "cancel":
            self._end(event.node, "cancelled", error=error, losses=losses)
        elif losses >= LOSSES_MOST:
            cure = "Look for a lack of memory there; a smaller batch_size may help."
            self._give_up(event, {**error, "message": f"{message} It was the {losses}th to do so. {cure}"})
        else:
            self._say("worker_lost", event.node, "warning", attempt=event.attempt, worker=state.worker)
            self._requeue(event.node, losses=losses, error=error)

    def stopped(self, event: Stopped) -> None:
        self._current(event)
        self._leave(event)
        if self.head.stop == "cancel":
            self._end(event.node, "cancelled", reason="the job was cancelled")
            self._say("node_cancelled", event.node, attempt=event.attempt)
        elif self.head.stop == "pause":
            self._set(event.node, status="paused", worker=None)
            self._say("node_paused", event.node, attempt=event.attempt)
        else:
            self._say("node_handed_back", event.node, attempt=event.attempt)
            self._requeue(event.node)

    def due_again(self, event: Due) -> None:
        state = self.nodes[event.node]
        if state.status != "waiting" or state.attempt != event.attempt or state.due_at is None:
            raise Fenced(f"Attempt {event.attempt} at '{event.node}' is not waiting for another try.")
        if self.head.stop == "pause":
            self._set(event.node, status="paused", due_at=None)
        else:
            self._requeue(event.node)

    def stop(self, event: StopAsked) -> None:
        if self.head.status in JOB_ENDED:
            raise Conflict(f"The job is {self.head.status} already: there is nothing to {event.kind}.")
        if self.head.stop == "cancel" and event.kind == "pause":
            raise Conflict("The job is being cancelled: it can't be paused.")
        self.head = replace(self.head, stop=event.kind)
        self._say(f"{event.kind}_asked")
        for name, state in list(self.nodes.items()):
            if event.kind == "cancel" and state.status in {"waiting", "ready", "paused"}:
                self._end(name, "cancelled", reason="the job was cancelled", open_children=False)
            elif event.kind == "pause" and (state.status == "ready" or state.due_at is not None):
                self._set(name, status="paused", due_at=None)

    def resume(self) -> None:
        if self.head.stop != "pause" or self.head.status in JOB_ENDED:
            raise Conflict(f"The job is {self.head.status}, not paused: there is nothing to resume.")
        self.head = replace(self.head, stop=None, status="running" if self.head.started_at else "queued")
        self._say("resumed")
        for name, state in list(self.nodes.items()):
            if state.status == "paused":
                self._requeue(name)

    # -- steps ---------------------------------------------------------------------------------

    def _current(self, event: NodeEvent) -> NodeState:
        state = self.nodes[event.node]
        if state.status != "running" or state.attempt != event.attempt:
            raise Fenced(
                f"Attempt {event.attempt} at '{event.node}' came too late: the node is {state.status}"
                f" and at attempt {state.attempt}. Nothing was changed."
            )
        return state

    def _leave(self, event: NodeEvent) -> None:
        self.released.append((event.node, event.attempt))
        self.head = replace(self.head, running=self.head.running - 1)

    def _set(self, name: str, **changes: Any) -> None:
        self.nodes[name] = self.nodes[name].evolve(**changes)
        self.changed.add(name)

    def _open(self, name: str) -> None:
        """A node's needs have ended: it becomes ready, or is skipped by its condition."""
        node = self.plan.nodes[name]
        if node.when and not holds(node.when, node, self.known_outputs):
            self._skip(name, f"its condition does not hold: {describe(node.when)}")
        elif self.head.stop is None:
            self._requeue(name)
        elif self.head.stop == "pause":
            self._set(name, status="paused")

    def _requeue(self, name: str, **changes: Any) -> None:
        if self.head.stop == "pause":
            self._set(name, status="paused", worker=None, **changes)
            return
        attempt = self.nodes[name].attempt + 1
        self._set(name, status="ready", attempt=attempt, ready_at=self.now, due_at=None, worker=None, **changes)
        self.queue.append(name)

    def _again(self, event: NodeEvent, **changes: Any) -> None:
        if self.head.stop == "pause":
            self._set(event.node, status="paused", worker=None, **{**changes, "due_at": None})
        else:
            self._set(event.node, status="waiting", worker=None, **changes)
            self.due.append(event.node)

    def _end(self, name: str, status: str, *, open_children: bool = True, **changes: Any) -> None:
        self._set(name, status=status, ended_at=self.now, due_at=None, **changes)
        self.head = replace(self.head, unfinished=self.head.unfinished - 1)
        if status not in NODE_DONE or not open_children:
            return
        for child in self.plan.nodes[name].children:
            if self.nodes[child].status == "waiting":
                self._set(child, waiting_on=self.nodes[child].waiting_on - 1)
                # While a retry is being stored, `submit` opens what is left once all is taken over.
                if self.nodes[child].waiting_on == 0 and self.head.status != "queued":
                    self._open(child)

    def _give_up(self, event: NodeEvent, error: dict[str, Any]) -> None:
        self.head = replace(self.head, failed=self.head.failed + 1)
        self._say("node_failed", event.node, "error", attempt=event.attempt, error=error)
        failures = self.nodes[event.node].failures + 1
        self._end(event.node, "failed", error=error, failures=failures)
        self._skip_after(event.node, f"it needs '{event.node}', which failed")

    def _skip(self, name: str, reason: str) -> None:
        self._end(name, "skipped", reason=reason)
        self._say("node_skipped", name, reason=reason)
        self._skip_after(name, f"it needs '{name}', which was skipped")

    def _skip_after(self, name: str, reason: str) -> None:
        for below in self.plan.descendants(name):
            if self.nodes[below].status == "waiting":
                self._end(below, "skipped", reason=reason)
                self._say("node_skipped", below, reason=reason)

    def _promote(self, output: dict[str, Any]) -> None:
        if output.get("verdict") == "PROMOTE":
            self.promotion = Promotion(output["model_name"], output["version"], output.get("champion_version"))

    def _settle(self) -> None:
        """Work out the job's own status from what its nodes became."""
        head = self.head
        if self.was_ended:
            return
        if head.unfinished == 0:
            status = "cancelled" if head.stop == "cancel" else "failed" if head.failed else "completed"
            seconds = round(self.now - head.created_at, 3)
            self.head = replace(head, status=status, ended_at=self.now)  # type: ignore[arg-type]
            self.log.append(LogLine(f"job_{status}", level="error" if head.failed else "info", fields={"s": seconds}))
        elif head.stop == "pause" and head.running == 0 and head.status != "paused":
            self.head = replace(head, status="paused")
            self._say("job_paused")

    def _say(self, event: str, node: str | None = None, level: str = "info", **fields: Any) -> None:
        self.log.append(LogLine(event, node, level, {key: value for key, value in fields.items() if value is not None}))


def holds(when: When, node: PlannedNode, outputs: dict[str, dict[str, Any]]) -> bool:
    """Say whether a condition holds. A figure that isn't there holds for nothing but `not_equals`."""
    value = node.when_value
    if when.output is not None:
        other, _, field = when.output.rpartition(".")
        value = outputs.get(other, {}).get(field)
    wanted = getattr(when, when.operator)
    match when.operator:
        case "equals":
            return bool(value == wanted)
        case "not_equals":
            return bool(value != wanted)
        case "one_of":
            return value in wanted
        case "at_least":
            return isinstance(value, int | float) and value >= wanted
        case "at_most":
            return isinstance(value, int | float) and value <= wanted


def describe(when: When) -> str:
    """Return a condition as a person would say it."""
    return f"{when.output or when.param} {when.operator.replace('_', ' ')} {getattr(when, when.operator)!r}"


def first_states(plan: Plan) -> dict[str, NodeState]:
    """Return the states of a job that nothing has happened to yet."""
    return {name: NodeState(waiting_on=len(node.needs)) for name, node in plan.nodes.items()}


def first_head(created_at: float, retry_of: str | None = None) -> JobHead:
    """Return the head of a job that nothing has happened to yet."""
    return JobHead(created_at=created_at, retry_of=retry_of)


def is_ended(state: NodeState) -> bool:
    """Say whether a node has come to its end."""
    return state.status in NODE_ENDED
