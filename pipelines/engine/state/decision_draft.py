"""A decision in the making: the steps that events are made of. Pure: they change the draft and nothing else."""

from dataclasses import replace
from typing import Any

from agents.base.errors import Fenced
from pipelines.engine.state.conditions import describe, holds
from pipelines.engine.state.job import JOB_ENDED, NODE_DONE, Decision, Job, LogLine, NodeEvent, NodeState, Promotion


class Draft:
    """The job as it becomes under one event, and all that is to be written for it."""

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
        """Return all that is to be written, the job's own status included."""
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

    def current(self, event: NodeEvent) -> NodeState:
        """Return the state of the node whose attempt reports.

        Raises:
            Fenced: the attempt is no longer the current one.
        """
        state = self.nodes[event.node]
        if state.status != "running" or state.attempt != event.attempt:
            raise Fenced(
                f"Attempt {event.attempt} at '{event.node}' came too late: the node is {state.status}"
                f" and at attempt {state.attempt}. Nothing was changed."
            )
        return state

    def leave(self, event: NodeEvent) -> None:
        """An attempt has stopped running: its lease is over."""
        self.released.append((event.node, event.attempt))
        self.head = replace(self.head, running=self.head.running - 1)

    def change(self, name: str, **changes: Any) -> None:
        """Change a node's state.

        Raises:
            Conflict: the table of legal changes has no such change of status.
        """
        self.nodes[name] = self.nodes[name].evolve(**changes)
        self.changed.add(name)

    def open(self, name: str) -> None:
        """A node's needs have ended: it becomes ready, or is skipped by its condition."""
        node = self.plan.nodes[name]
        if node.when and not holds(node.when, node, self.known_outputs):
            self.skip(name, f"its condition does not hold: {describe(node.when)}")
        elif self.head.stop is None:
            self.requeue(name)
        elif self.head.stop == "pause":
            self.change(name, status="paused")

    def requeue(self, name: str, **changes: Any) -> None:
        """A node is queued under its next attempt number; in a pause it waits for the resume."""
        if self.head.stop == "pause":
            self.change(name, status="paused", worker=None, **changes)
            return
        attempt = self.nodes[name].attempt + 1
        self.change(name, status="ready", attempt=attempt, ready_at=self.now, due_at=None, worker=None, **changes)
        self.queue.append(name)

    def try_again(self, event: NodeEvent, **changes: Any) -> None:
        """A failed attempt's node waits for its `due_at`; in a pause for the resume."""
        if self.head.stop == "pause":
            self.change(event.node, status="paused", worker=None, **{**changes, "due_at": None})
        else:
            self.change(event.node, status="waiting", worker=None, **changes)
            self.due.append(event.node)

    def end(self, name: str, status: str, *, open_children: bool = True, **changes: Any) -> None:
        """A node has come to its end; those that needed only it are opened."""
        self.change(name, status=status, ended_at=self.now, due_at=None, **changes)
        self.head = replace(self.head, unfinished=self.head.unfinished - 1)
        if status not in NODE_DONE or not open_children:
            return
        for child in self.plan.nodes[name].children:
            if self.nodes[child].status == "waiting":
                self.change(child, waiting_on=self.nodes[child].waiting_on - 1)
                # While a retry is being stored, `submit` opens what is left once all is taken over.
                if self.nodes[child].waiting_on == 0 and self.head.status != "queued":
                    self.open(child)

    def give_up(self, event: NodeEvent, error: dict[str, Any]) -> None:
        """A node has failed for good, and what needs it is skipped."""
        self.head = replace(self.head, failed=self.head.failed + 1)
        self.say("node_failed", event.node, "error", attempt=event.attempt, error=error)
        failures = self.nodes[event.node].failures + 1
        self.end(event.node, "failed", error=error, failures=failures)
        self._skip_after(event.node, f"it needs '{event.node}', which failed")

    def skip(self, name: str, reason: str) -> None:
        """A node does not run, nor does what needs it."""
        self.end(name, "skipped", reason=reason)
        self.say("node_skipped", name, reason=reason)
        self._skip_after(name, f"it needs '{name}', which was skipped")

    def _skip_after(self, name: str, reason: str) -> None:
        for below in self.plan.descendants(name):
            if self.nodes[below].status == "waiting":
                self.end(below, "skipped", reason=reason)
                self.say("node_skipped", below, reason=reason)

    def promote(self, output: dict[str, Any]) -> None:
        """A version was made: with a verdict of PROMOTE it becomes the champion."""
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
            self.say("job_paused")

    def say(self, event: str, node: str | None = None, level: str = "info", **fields: Any) -> None:
        """Note a record for the job's log, without the fields that are None."""
        self.log.append(LogLine(event, node, level, {key: value for key, value in fields.items() if value is not None}))
