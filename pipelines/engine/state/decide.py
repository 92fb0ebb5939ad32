"""What comes next: `decide(job, event, now)` gives a Decision. Pure: no Redis, no clock, no chance."""

from dataclasses import replace

from agents.base.errors import Conflict, Fenced
from pipelines.engine.state.decision_draft import Draft
from pipelines.engine.state.job import (
    JOB_ENDED,
    Claimed,
    Completed,
    Decision,
    Due,
    Event,
    Failed,
    Job,
    JobHead,
    Lost,
    NodeState,
    ResumeAsked,
    StopAsked,
    Stopped,
    Submitted,
)
from pipelines.plan import Plan

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
    draft = Draft(job, now)
    match event:
        case Submitted():
            _submit(draft, event)
        case Claimed():
            _claim(draft, event)
        case Completed():
            _complete(draft, event)
        case Failed():
            _fail(draft, event)
        case Lost():
            _lose(draft, event)
        case Stopped():
            _stopped(draft, event)
        case Due():
            _due_again(draft, event)
        case StopAsked():
            _stop(draft, event)
        case ResumeAsked():
            _resume(draft)
    return draft.decision()


def first_states(plan: Plan) -> dict[str, NodeState]:
    """Return the states of a job that nothing has happened to yet."""
    return {name: NodeState(waiting_on=len(node.needs)) for name, node in plan.nodes.items()}


def first_head(created_at: float, retry_of: str | None = None) -> JobHead:
    """Return the head of a job that nothing has happened to yet."""
    return JobHead(created_at=created_at, retry_of=retry_of)


# -- events -----------------------------------------------------------------------------------


def _submit(draft: Draft, event: Submitted) -> None:
    draft.head = replace(draft.head, unfinished=len(draft.nodes))
    draft.say("job_submitted", pipeline=draft.plan.name, nodes=len(draft.nodes), retry_of=draft.head.retry_of)
    for name, output in event.done.items():
        draft.outputs[name] = draft.known_outputs[name] = output
        draft.end(name, "cached", cache={"hit": True, "reason": f"finished in {draft.head.retry_of}"})
    for name, state in list(draft.nodes.items()):
        if state.status == "waiting" and state.waiting_on == 0:
            draft.open(name)


def _claim(draft: Draft, event: Claimed) -> None:
    state = draft.nodes[event.node]
    if state.status != "ready" or state.attempt != event.attempt or draft.head.stop:
        raise Fenced(f"Attempt {event.attempt} at '{event.node}' can't start: the node is {state.status}.")
    started = draft.head.started_at or draft.now
    draft.head = replace(draft.head, status="running", running=draft.head.running + 1, started_at=started)
    draft.change(event.node, status="running", worker=event.worker, started_at=draft.now, due_at=None)
    draft.leased = event.node
    draft.say("node_started", event.node, attempt=event.attempt, worker=event.worker)


def _complete(draft: Draft, event: Completed) -> None:
    state = draft.current(event)
    draft.outputs[event.node] = draft.known_outputs[event.node] = event.output
    draft.leave(event)
    status = "cached" if event.cached else "completed"
    draft.end(event.node, status, cache=event.cache)
    seconds = round(draft.now - (state.started_at or draft.now), 3)
    draft.say(f"node_{status}", event.node, attempt=event.attempt, seconds=seconds, cache=event.cache)
    if draft.plan.nodes[event.node].makes_version:
        draft.promote(event.output)


def _fail(draft: Draft, event: Failed) -> None:
    state = draft.current(event)
    draft.leave(event)
    failures = state.failures + 1
    left = draft.plan.nodes[event.node].retries - state.failures
    if event.retryable and left > 0 and draft.head.stop != "cancel":
        due_at = draft.now + backoff_s(failures, event.jitter)
        notes = {**state.notes, **event.notes}
        draft.try_again(event, due_at=due_at, failures=failures, error=event.error, notes=notes)
        wait_s = round(due_at - draft.now, 1)
        draft.say("node_retrying", event.node, "warning", error=event.error, retries_left=left, wait_s=wait_s)
    else:
        draft.give_up(event, event.error)


def _lose(draft: Draft, event: Lost) -> None:
    state = draft.current(event)
    draft.leave(event)
    losses = 1 if event.done > state.furthest else state.losses + 1
    draft.change(event.node, furthest=max(event.done, state.furthest))
    message = f"Its worker {state.worker} went silent."
    error = {"error": "WORKER_LOST", "message": message, "details": []}
    if draft.head.stop == "cancel":
        draft.end(event.node, "cancelled", error=error, losses=losses)
    elif losses >= LOSSES_MOST:
        cure = "Look for a lack of memory there; a smaller batch_size may help."
        draft.give_up(event, {**error, "message": f"{message} It was the {losses}th to do so. {cure}"})
    else:
        draft.say("worker_lost", event.node, "warning", attempt=event.attempt, worker=state.worker)
        draft.requeue(event.node, losses=losses, error=error)


def _stopped(draft: Draft, event: Stopped) -> None:
    draft.current(event)
    draft.leave(event)
    if draft.head.stop == "cancel":
        draft.end(event.node, "cancelled", reason="the job was cancelled")
        draft.say("node_cancelled", event.node, attempt=event.attempt)
    elif draft.head.stop == "pause":
        draft.change(event.node, status="paused", worker=None)
        draft.say("node_paused", event.node, attempt=event.attempt)
    else:
        draft.say("node_handed_back", event.node, attempt=event.attempt)
        draft.requeue(event.node)


def _due_again(draft: Draft, event: Due) -> None:
    state = draft.nodes[event.node]
    if state.status != "waiting" or state.attempt != event.attempt or state.due_at is None:
        raise Fenced(f"Attempt {event.attempt} at '{event.node}' is not waiting for another try.")
    if draft.head.stop == "pause":
        draft.change(event.node, status="paused", due_at=None)
    else:
        draft.requeue(event.node)


def _stop(draft: Draft, event: StopAsked) -> None:
    if draft.head.status in JOB_ENDED:
        raise Conflict(f"The job is {draft.head.status} already: there is nothing to {event.kind}.")
    if draft.head.stop == "cancel" and event.kind == "pause":
        raise Conflict("The job is being cancelled: it can't be paused.")
    draft.head = replace(draft.head, stop=event.kind)
    draft.say(f"{event.kind}_asked")
    for name, state in list(draft.nodes.items()):
        if event.kind == "cancel" and state.status in {"waiting", "ready", "paused"}:
            draft.end(name, "cancelled", reason="the job was cancelled", open_children=False)
        elif event.kind == "pause" and (state.status == "ready" or state.due_at is not None):
            draft.change(name, status="paused", due_at=None)


def _resume(draft: Draft) -> None:
    if draft.head.stop != "pause" or draft.head.status in JOB_ENDED:
        raise Conflict(f"The job is {draft.head.status}, not paused: there is nothing to resume.")
    draft.head = replace(draft.head, stop=None, status="running" if draft.head.started_at else "queued")
    draft.say("resumed")
    for name, state in list(draft.nodes.items()):
        if state.status == "paused":
            draft.requeue(name)
