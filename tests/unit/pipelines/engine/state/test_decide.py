"""What comes next: `decide` as a table, without Redis or a clock."""

from dataclasses import replace
from typing import Any

import pytest

from agents.base.errors import Conflict, Fenced
from pipelines.engine.conditions import holds
from pipelines.engine.decide import backoff_s, decide, first_head, first_states
from pipelines.engine.job import (
    Claimed,
    Completed,
    Decision,
    Due,
    Event,
    Failed,
    Job,
    Lost,
    Promotion,
    ResumeAsked,
    StopAsked,
    Stopped,
    Submitted,
)
from pipelines.judge import judge
from pipelines.spec import When
from tests.support.agents import TEST_AGENTS, echo, spec

ERROR = {"error": "UNAVAILABLE", "message": "away", "details": []}


class Run:
    """A job in memory: events in, decisions applied."""

    def __init__(self, nodes: dict[str, Any], submitted: Submitted | None = None, **fields: Any) -> None:
        plan = judge(spec(nodes, **fields), {}, TEST_AGENTS)
        self.job = Job("job_1", plan, first_head(0.0), first_states(plan), {})
        self.decisions: list[Decision] = []
        self.now = 0.0
        self.do(submitted or Submitted())

    def do(self, event: Event) -> Decision:
        self.now += 1
        decision = decide(self.job, event, self.now)
        nodes, outputs = {**self.job.nodes, **decision.nodes}, {**self.job.outputs, **decision.outputs}
        self.job = replace(self.job, head=decision.head, nodes=nodes, outputs=outputs)
        self.decisions.append(decision)
        return decision

    def start(self, node: str) -> int:
        attempt = self.job.nodes[node].attempt
        self.do(Claimed(node, attempt, "w"))
        return attempt

    def finish(self, node: str, **output: Any) -> Decision:
        return self.do(Completed(node, self.start(node), output))

    def statuses(self) -> dict[str, str]:
        return {name: state.status for name, state in self.job.nodes.items()}


def test_a_node_that_gets_further_each_time_is_never_given_up() -> None:
    run = Run({"a": echo()})
    for done in range(1, 12):
        run.do(Lost("a", run.start("a"), done=float(done)))
        assert run.job.nodes["a"].losses == 1
    assert run.job.head.status == "running"


def test_only_nodes_without_needs_are_queued_at_submit() -> None:
    run = Run({"a": echo(), "b": echo("a"), "c": echo()})

    assert run.decisions[0].queue == ("a", "c")
    assert run.statuses() == {"a": "ready", "b": "waiting", "c": "ready"}


def test_a_join_is_queued_by_the_last_of_its_needs() -> None:
    run = Run({"a": echo(), "b": echo(), "join": echo("a", "b")})

    assert run.finish("a").queue == ()
    assert run.finish("b").queue == ("join",)
    run.finish("join")
    assert run.job.head.status == "completed"


def test_a_second_claim_of_the_same_attempt_is_fenced() -> None:
    run = Run({"a": echo()})
    run.start("a")

    with pytest.raises(Fenced):
        run.do(Claimed("a", 1, "other"))


def test_an_output_of_an_older_attempt_changes_nothing() -> None:
    run = Run({"a": echo()})
    run.start("a")
    run.do(Lost("a", 1))
    assert run.job.nodes["a"].attempt == 2
    run.start("a")

    with pytest.raises(Fenced, match="came too late"):
        run.do(Completed("a", 1, {}))


def test_a_completed_node_can_not_complete_again() -> None:
    run = Run({"a": echo(), "b": echo("a")})
    run.finish("a")

    with pytest.raises(Fenced):
        run.do(Completed("a", 1, {}))


def test_a_failure_that_can_pass_waits_for_its_backoff_then_is_queued() -> None:
    run = Run({"a": echo(retries=1)})
    decision = run.do(Failed("a", run.start("a"), ERROR, True, 0.5, {"out_of_memory": 1}))

    assert decision.due == ("a",)
    assert run.job.nodes["a"].due_at == run.now + 0.75
    assert run.do(Due("a", 1)).queue == ("a",)
    assert run.job.nodes["a"].notes == {"out_of_memory": 1}
    run.do(Failed("a", run.start("a"), ERROR, True, 0.5))
    assert run.job.head.status == "failed"


def test_a_final_failure_is_not_tried_again_and_skips_what_needs_it() -> None:
    run = Run({"a": echo(retries=5), "b": echo("a"), "c": echo("b"), "other": echo()})
    run.do(Failed("a", run.start("a"), ERROR, False, 0.5))

    assert run.statuses() == {"a": "failed", "b": "skipped", "c": "skipped", "other": "ready"}
    assert run.job.head.status == "running"
    run.finish("other")
    assert run.job.head.status == "failed"


def test_lost_workers_do_not_use_up_retries_but_end_at_last() -> None:
    run = Run({"a": echo(retries=0)})
    for losses in range(1, 5):
        decision = run.do(Lost("a", run.start("a")))
        assert decision.queue == ("a",)
        assert run.job.nodes["a"].losses == losses
    run.do(Lost("a", run.start("a")))

    assert run.job.head.status == "failed"


def test_cancel_ends_what_does_not_run_and_waits_for_what_does() -> None:
    run = Run({"a": echo(), "b": echo(), "c": echo("a")})
    attempt = run.start("a")
    run.do(StopAsked("cancel"))

    assert run.statuses() == {"a": "running", "b": "cancelled", "c": "cancelled"}
    assert run.job.head.status == "running"
    run.do(Stopped("a", attempt))
    assert run.job.head.status == "cancelled"


def test_a_node_that_completes_during_a_cancel_starts_nothing() -> None:
    run = Run({"a": echo(), "b": echo("a")})
    attempt = run.start("a")
    run.do(StopAsked("cancel"))
    decision = run.do(Completed("a", attempt, {}))

    assert decision.queue == ()
    assert run.job.head.status == "cancelled"


def test_pause_and_resume_go_on_with_a_new_attempt() -> None:
    run = Run({"a": echo(), "b": echo(), "c": echo("a", "b")})
    attempt = run.start("a")
    run.do(StopAsked("pause"))
    assert run.statuses() == {"a": "running", "b": "paused", "c": "waiting"}
    run.do(Stopped("a", attempt))
    assert run.job.head.status == "paused"

    assert set(run.do(ResumeAsked()).queue) == {"a", "b"}
    run.finish("a")
    run.finish("b")
    run.finish("c")
    assert run.job.head.status == "completed"
    assert run.job.nodes["a"].attempt == 2


def test_a_node_that_completes_during_a_pause_opens_the_next_only_at_resume() -> None:
    run = Run({"a": echo(), "b": echo("a")})
    attempt = run.start("a")
    run.do(StopAsked("pause"))
    assert run.do(Completed("a", attempt, {})).queue == ()
    assert run.job.head.status == "paused"

    assert run.do(ResumeAsked()).queue == ("b",)


def test_an_ended_job_can_not_be_stopped_or_resumed() -> None:
    run = Run({"a": echo()})
    run.finish("a")

    for event in (StopAsked("cancel"), StopAsked("pause"), ResumeAsked()):
        with pytest.raises(Conflict):
            run.do(event)


def test_a_job_that_completes_during_a_pause_can_not_be_resumed() -> None:
    run = Run({"a": echo()})
    attempt = run.start("a")
    run.do(StopAsked("pause"))
    run.do(Completed("a", attempt, {}))

    with pytest.raises(Conflict, match="completed, not paused"):
        run.do(ResumeAsked())
    assert run.job.head.status == "completed"


def test_a_worker_that_shuts_down_hands_its_node_back() -> None:
    run = Run({"a": echo()})

    assert run.do(Stopped("a", run.start("a"))).queue == ("a",)


def test_a_condition_that_does_not_hold_skips_the_node_and_what_needs_it() -> None:
    nodes = {
        "a": echo(),
        "b": echo("a", when={"output": "a.verdict", "equals": "PROMOTE"}),
        "c": echo("b"),
        "d": echo("a", when={"output": "a.level", "at_least": 3}),
    }
    run = Run(nodes)
    run.finish("a", verdict="HOLD", level=3)

    assert run.statuses() == {"a": "completed", "b": "skipped", "c": "skipped", "d": "ready"}
    assert "a.verdict equals 'PROMOTE'" in (run.job.nodes["b"].reason or "")


def test_a_condition_on_a_parameter_is_known_at_submit() -> None:
    run = Run({"a": echo(when={"param": "quick", "equals": False})}, params={"quick": True})

    assert run.job.head.status == "completed"
    assert run.statuses() == {"a": "skipped"}


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ({"equals": 1}, 1, True),
        ({"not_equals": 1}, 1, False),
        ({"at_least": 0.5}, 0.5, True),
        ({"at_least": 0.5}, None, False),
        ({"at_most": 0.5}, 0.6, False),
        ({"one_of": ["x", "y"]}, "y", True),
        ({"one_of": ["x", "y"]}, None, False),
        ({"equals": None}, None, True),
    ],
)
def test_conditions(condition: dict[str, Any], value: Any, expected: bool) -> None:
    node = judge(spec({"a": echo()}), {}, TEST_AGENTS).nodes["a"]

    assert holds(When(output="a.x", **condition), node, {"a": {"x": value}}) is expected


def test_a_retry_takes_over_finished_nodes_and_queues_what_is_left() -> None:
    nodes = {"a": echo(), "b": echo("a"), "c": echo("a"), "d": echo("b", "c")}
    run = Run(nodes, Submitted({"a": {"x": 1}, "b": {"x": 2}}))

    assert run.statuses() == {"a": "cached", "b": "cached", "c": "ready", "d": "waiting"}
    assert run.decisions[0].queue == ("c",)
    run.finish("c")
    run.finish("d")
    assert run.job.head.status == "completed"


def test_an_export_with_verdict_promote_moves_the_alias_with_its_end() -> None:
    run = Run({"export": {"agent": "version"}})
    decision = run.finish("export", model_name="spam", version=4, verdict="PROMOTE", champion_version=3)
    assert decision.promotion == Promotion("spam", 4, 3)

    held = Run({"export": {"agent": "version"}})
    assert held.finish("export", model_name="spam", version=4, verdict="HOLD", champion_version=3).promotion is None


def test_backoff_grows_to_its_cap_and_at_least_half_of_it_is_sure() -> None:
    assert [backoff_s(failures, 1.0) for failures in (1, 2, 3, 10)] == [1.0, 2.0, 4.0, 60.0]
    assert backoff_s(3, 0.0) == 2.0
