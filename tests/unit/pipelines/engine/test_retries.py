"""What a retry runs, and what it takes over."""

from dataclasses import replace
from typing import Any

import pytest

from agents.base.errors import Conflict
from pipelines.engine.retries import Changes, check_retry, request_of, taken_over
from pipelines.engine.state.job import Job, JobHead, NodeState
from pipelines.judge import judge
from pipelines.plan import Plan
from tests.support.agents import TEST_AGENTS, echo, spec

NODES = {
    "a": echo(config={"say": "${params.say}"}),
    "b": echo("a"),
    "c": echo("b", config={"level": "${params.level}"}),
}


def plan_with(**params: Any) -> Plan:
    return judge(spec(NODES, params={"say": "x", "level": 1}), params, TEST_AGENTS)


def ended(plan: Plan, error: str = "AGENT_FAILED", status: Any = "failed") -> Job:
    """Return a job whose last node failed."""
    nodes = {name: NodeState(waiting_on=0, status="completed") for name in plan.nodes}
    nodes["c"] = NodeState(waiting_on=0, status="failed", error={"error": error, "message": ""})
    outputs = {name: {"of": name} for name in ("a", "b")}
    return Job("job_1", plan, JobHead(created_at=0, status=status), nodes, outputs)


@pytest.mark.parametrize(
    ("params", "kept"),
    [({}, {"a", "b"}), ({"level": 2}, {"a", "b"}), ({"say": "y"}, set()), ({"say": "x", "level": 3}, {"a", "b"})],
)
def test_what_a_change_does_not_reach_is_taken_over(params: dict[str, Any], kept: set[str]) -> None:
    assert set(taken_over(ended(plan_with()), plan_with(**params), {"dataset"})) == kept


def test_rows_that_may_have_been_corrected_are_read_again() -> None:
    job = ended(plan_with(), "INVALID_DATA")

    assert taken_over(job, job.plan, {"echo"}) == {}
    assert set(taken_over(job, job.plan, {"dataset"})) == {"a", "b"}
    assert set(taken_over(ended(plan_with()), job.plan, {"echo"})) == {"a", "b"}


def test_values_of_the_first_request_stay_unless_they_are_given_anew() -> None:
    plan = plan_with(say="first", level=2)

    assert request_of(plan, Changes({"level": 3}))[1] == {"say": "first", "level": 3}
    assert request_of(plan_with(level=2), Changes({"say": "z"}))[1] == {"say": "z", "level": 2}
    other = spec({"a": echo(config={"level": "${params.level}"})}, params={"level": 5})
    assert request_of(plan, Changes(spec=other)) == (other, {"level": 2})


def test_what_can_not_be_run_again_is_refused_with_a_cure() -> None:
    running, completed = ended(plan_with(), status="running"), ended(plan_with(), status="completed")
    old = ended(plan_with().model_copy(update={"spec": None}))

    with pytest.raises(Conflict, match="Cancel it first"):
        check_retry(running, Changes())
    with pytest.raises(Conflict, match=r"nothing to retry.*Name what is to be different"):
        check_retry(completed, Changes())
    with pytest.raises(Conflict, match="Send the spec"):
        check_retry(old, Changes({"level": 2}))
    check_retry(completed, Changes({"level": 2}))
    check_retry(replace(old), Changes({"level": 2}, spec={}))
