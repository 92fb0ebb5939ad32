"""The pure orchestrator under random graphs and random events: late, doubled, lost, stopped, resumed."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agents.base.errors import Conflict, Fenced
from pipelines.engine.decide import decide, first_head, first_states, scope
from pipelines.engine.job import (
    JOB_ENDED,
    LEGAL,
    NODE_DONE,
    NODE_ENDED,
    Claimed,
    Completed,
    Due,
    Event,
    Failed,
    Job,
    Lost,
    ResumeAsked,
    StopAsked,
    Stopped,
    Submitted,
)
from pipelines.judge import judge
from tests.support.agents import TEST_AGENTS, echo, spec

ERROR = {"error": "UNAVAILABLE", "message": "away", "details": []}
any_index = st.integers(0, 1000)


class OrchestratorMachine(RuleBasedStateMachine):
    """Plays Redis, the queue and all workers: keeps what decisions wrote, and delivers messages at will."""

    @initialize(data=st.data(), size=st.integers(1, 8))
    def submit(self, data: st.DataObject, size: int) -> None:
        names = [f"n{i}" for i in range(size)]
        nodes = {
            name: echo(*data.draw(st.sets(st.sampled_from(names[:i]), max_size=3) if i else st.just(set())), retries=1)
            for i, name in enumerate(names)
        }
        plan = judge(spec(nodes), {}, TEST_AGENTS)
        self.job = Job("job_1", plan, first_head(0.0), first_states(plan), {})
        self.messages: list[tuple[str, int]] = []
        self.running: list[tuple[str, int]] = []
        self.old: list[tuple[str, int]] = []
        self.ended_once: dict[str, str] = {}
        self.now = 0.0
        self.do(Submitted())

    def do(self, event: Event) -> bool:
        """Apply an event as the engine does: only what `scope` names is shown to `decide`."""
        self.now += 1
        names, outputs = scope(self.job.plan, event)
        seen = replace(
            self.job,
            nodes={name: self.job.nodes[name] for name in names},
            outputs={name: self.job.outputs[name] for name in outputs if name in self.job.outputs},
        )
        try:
            decision = decide(seen if not isinstance(event, Submitted) else self.job, event, self.now)
        except (Fenced, Conflict):
            return False
        for name, state in decision.nodes.items():
            before = self.job.nodes[name].status
            # One event may move a node twice (a hand-back during a pause); each way must exist.
            assert state.status == before or state.status in LEGAL[before] or "ready" in LEGAL[before]
        self.job = replace(
            self.job,
            head=decision.head,
            nodes={**self.job.nodes, **decision.nodes},
            outputs={**self.job.outputs, **decision.outputs},
        )
        self.messages += [(name, self.job.nodes[name].attempt) for name in decision.queue]
        return True

    # -- what workers and the sweeper do --------------------------------------------------------

    @precondition(lambda self: self.messages)
    @rule(index=any_index, twice=st.booleans())
    def deliver(self, index: int, twice: bool) -> None:
        message = self.messages.pop(index % len(self.messages))
        needs_done = all(self.job.nodes[need].status in NODE_DONE for need in self.job.plan.nodes[message[0]].needs)
        if self.do(Claimed(*message, "w")):
            assert needs_done, "a node ran before its needs"
            assert message not in self.old, "an attempt ran twice"
            self.running.append(message)
            self.old.append(message)
        if twice:
            assert not self.do(Claimed(*message, "other"))

    def _end(self, index: int) -> tuple[str, int]:
        return self.running.pop(index % len(self.running))

    @precondition(lambda self: self.running)
    @rule(index=any_index)
    def complete(self, index: int) -> None:
        self.do(Completed(*self._end(index), {"said": "x"}))

    @precondition(lambda self: self.running)
    @rule(index=any_index, retryable=st.booleans())
    def fail(self, index: int, retryable: bool) -> None:
        self.do(Failed(*self._end(index), ERROR, retryable, 0.5))

    @precondition(lambda self: self.running)
    @rule(index=any_index)
    def lose(self, index: int) -> None:
        self.do(Lost(*self._end(index)))

    @precondition(lambda self: self.running)
    @rule(index=any_index)
    def stop_at_checkpoint(self, index: int) -> None:
        self.do(Stopped(*self._end(index)))

    @rule()
    def backoff_is_over(self) -> None:
        for name, state in self.job.nodes.items():
            if state.due_at is not None:
                self.do(Due(name, state.attempt))

    @precondition(lambda self: self.old)
    @rule(index=any_index)
    def a_zombie_writes(self, index: int) -> None:
        node, attempt = self.old[index % len(self.old)]
        if (node, attempt) not in self.running:
            before = self.job
            assert not self.do(Completed(node, attempt, {"said": "late"}))
            assert self.job == before

    # -- what users do --------------------------------------------------------------------------

    @rule()
    def pause(self) -> None:
        self.do(StopAsked("pause"))

    @rule()
    def resume(self) -> None:
        self.do(ResumeAsked())

    @rule(really=st.integers(0, 9))
    def cancel(self, really: int) -> None:
        if really == 0:
            self.do(StopAsked("cancel"))

    # -- what always holds ----------------------------------------------------------------------

    @invariant()
    def terminal_states_stay(self) -> None:
        for name, status in self.ended_once.items():
            assert self.job.nodes[name].status == status
        self.ended_once |= {n: s.status for n, s in self.job.nodes.items() if s.status in NODE_ENDED}

    @invariant()
    def the_head_counts_right(self) -> None:
        statuses = [state.status for state in self.job.nodes.values()]
        assert self.job.head.unfinished == sum(status not in NODE_ENDED for status in statuses)
        assert self.job.head.running == statuses.count("running") == len(self.running)
        assert (self.job.head.status in JOB_ENDED) == (self.job.head.unfinished == 0)

    @invariant()
    def no_job_is_stuck(self) -> None:
        """Whoever is unfinished has something that will move it: a message, a worker, a timer or a user."""
        if self.job.head.status in JOB_ENDED or self.job.head.stop == "pause":
            return
        statuses = {state.status for state in self.job.nodes.values()}
        waits_for_a_timer = any(state.due_at is not None for state in self.job.nodes.values())
        assert self.running or waits_for_a_timer or "ready" in statuses
        ready = {(name, state.attempt) for name, state in self.job.nodes.items() if state.status == "ready"}
        assert ready <= set(self.messages), "a ready node has no message"

    def teardown(self) -> None:
        """Let everything that is left run: the job must come to its end."""
        if not hasattr(self, "job"):
            return
        if self.job.head.stop == "pause":
            while self.running:
                self.stop_at_checkpoint(0)
            self.resume()
        for _ in range(500):
            if self.job.head.status in JOB_ENDED:
                break
            self.backoff_is_over()
            while self.messages:
                self.deliver(0, False)
            while self.running:
                self.complete(0)
        assert self.job.head.status in JOB_ENDED


TestOrchestrator = OrchestratorMachine.TestCase
TestOrchestrator.settings = settings(max_examples=250, stateful_step_count=30, deadline=None)
