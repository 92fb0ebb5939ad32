"""Jobs from submit to end, on a real Valkey and a real S3 server."""

import threading
from collections.abc import Callable

import pytest

from agents.base.errors import Conflict, Fenced, NotFound
from app.wiring import Parts
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys
from pipelines.engine.state.job import Completed, NodeState
from tests.servers.conftest import RunJob
from tests.support.agents import echo, spec
from tests.support.in_process import InProcessWorker


def events(parts: Parts, job_id: str) -> list[str]:
    return [record["event"] for record in parts.logs.read(job_id)]


def test_a_diamond_runs_to_its_end_and_hands_outputs_on(run_job: RunJob, parts: Parts) -> None:
    job = run_job(
        {
            "a": echo(config={"say": "one"}),
            "b": echo("a", config={"say": "two"}),
            "c": echo("a", config={"say": "three"}),
            "d": echo("b", "c"),
        }
    )

    assert job.head.status == "completed"
    assert job.outputs["d"]["heard"] == ["two", "three"]
    assert events(parts, job.id)[0] == "job_submitted"
    assert events(parts, job.id)[-1] == "job_completed"


def test_conditions_choose_what_runs(run_job: RunJob) -> None:
    job = run_job(
        {
            "a": echo(config={"level": 2}),
            "yes": echo("a", when={"output": "a.level", "at_least": 2}),
            "no": echo("a", when={"param": "quick", "not_equals": True}),
            "after": echo("no"),
            "unset": echo("a", config={"say": "so"}, when={"output": "a.champion_version", "equals": None}),
        },
        params={"quick": True},
    )

    found = {name: state.status for name, state in job.nodes.items()}
    assert job.head.status == "completed"
    assert found == {"a": "completed", "yes": "completed", "no": "skipped", "after": "skipped", "unset": "completed"}


def test_nothing_is_left_in_redis_but_the_job_itself(run_job: RunJob, parts: Parts) -> None:
    run_job({"a": echo(), "b": echo("a")})

    assert parts.connection.zcard(keys.LEASES) == 0
    assert parts.connection.zcard(keys.SENT) == 0
    assert parts.connection.zcard(keys.UNARCHIVED) == 0
    assert not list(parts.connection.keys("rq:job:*"))
    assert parts.state.queues.lengths() == {"default": 0}


def test_a_message_delivered_twice_runs_once(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    assert parts.state.resend(AttemptId(job_id, 0, 1))
    drain()

    assert events(parts, job_id).count("node_started") == 1
    assert parts.state.job(job_id).head.status == "completed"


def test_an_equal_submit_with_the_same_idempotency_key_is_the_first_job(parts: Parts) -> None:
    first = parts.orchestrator.submit(spec({"a": echo()}), {}, "key-1")

    assert parts.orchestrator.submit(spec({"a": echo()}), {}, "key-1") == first
    assert parts.orchestrator.submit(spec({"a": echo()}), {}, "key-2") != first
    with pytest.raises(Conflict, match="another request"):
        parts.orchestrator.submit(spec({"b": echo()}), {}, "key-1")
    assert parts.connection.zcard(keys.JOBS) == 2


def test_data_errors_are_final_at_once(run_job: RunJob) -> None:
    job = run_job({"a": {"agent": "fail", "retries": 5}, "b": echo("a")})

    assert job.head.status == "failed"
    assert job.nodes["a"].attempt == 1
    assert job.nodes["a"].error == {
        "error": "INVALID_DATA",
        "message": "Row 3 has no text. Write one.",
        "details": [],
    }
    assert job.nodes["b"].status == "skipped"


def test_errors_that_can_pass_are_tried_again(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(
        spec({"a": {"agent": "fail", "config": {"kind": "memory", "times": 1}, "retries": 1}}), {}
    )
    drain()
    state = parts.state.job(job_id).nodes["a"]
    assert (state.status, state.notes) == ("waiting", {"out_of_memory": 1})
    parts.connection.zadd(keys.DUE, {AttemptId(job_id, 0, 1).key(): 0})
    parts.sweeper.sweep()
    drain()

    job = parts.state.job(job_id)
    assert (job.head.status, job.outputs["a"]["level"]) == ("completed", 2)


def test_an_unforeseen_error_names_its_place_without_a_traceback(run_job: RunJob) -> None:
    message = run_job({"a": {"agent": "fail", "config": {"kind": "bug"}}}).nodes["a"].error["message"]

    assert "failed unexpectedly in agents.py:" in message
    assert "ZeroDivisionError: division by zero" in message
    assert "Traceback" not in message


def test_a_late_writer_changes_nothing(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    parts.orchestrator.claim(job_id, "a", 1, "zombie")
    parts.orchestrator.lease_lost(AttemptId(job_id, 0, 1))
    drain()
    before = parts.connection.hgetall(keys.state(job_id))

    with pytest.raises(Fenced):
        parts.state.apply(job_id, Completed("a", 1, {"said": "late"}))
    with pytest.raises(Fenced):
        parts.logs.append(
            AttemptId(job_id, 0, 1), "a", 1, {"kind": "log", "level": "info", "event": "late", "fields": {}}
        )
    assert parts.connection.hgetall(keys.state(job_id)) == before
    assert parts.state.job(job_id).nodes["a"].attempt == 2


class TwoLooks(threading.Event):
    """A stop that comes after two looks, at once."""

    left = 2

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_sweeper_outlives_what_it_did_not_foresee(parts: Parts) -> None:
    parts.connection.set(keys.plan("job_odd"), "{}")
    parts.connection.zadd(keys.SENT, {"job_odd|a|1": 0})
    stop = TwoLooks()
    parts.sweeper.run(stop, 0.0)

    assert stop.left < 0


def test_a_message_lost_between_queue_and_claim_is_sent_again(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    parts.connection.delete("rq:queue:default")
    parts.connection.zadd(keys.SENT, {AttemptId(job_id, 0, 1).key(): 0})
    parts.sweeper.sweep()
    drain()

    assert parts.state.job(job_id).head.status == "completed"


def test_a_message_that_still_waits_is_not_sent_again(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    parts.connection.zadd(keys.SENT, {AttemptId(job_id, 0, 1).key(): 0})
    parts.sweeper.sweep()

    assert parts.state.queues.lengths() == {"default": 1}


def test_a_cancelled_node_leaves_its_queue(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo(), "b": echo("a")}), {})
    head = parts.orchestrator.stop(job_id, "cancel")

    assert head.status == "cancelled"
    assert parts.state.queues.lengths() == {"default": 0}
    assert not parts.connection.keys("rq:job:*")


def test_a_retry_is_a_new_job_that_takes_over_finished_nodes(run_job: RunJob, parts: Parts) -> None:
    failed = run_job({"a": echo(), "b": {"agent": "fail", "needs": ["a"], "config": {"times": 1}}})
    retry = parts.state.job(parts.orchestrator.retry(failed.id))

    assert retry.head.retry_of == failed.id
    assert retry.nodes["a"].status == "cached"
    assert retry.outputs["a"] == failed.outputs["a"]
    assert parts.state.job(failed.id).head == failed.head


def test_only_ended_jobs_with_something_left_can_be_retried(run_job: RunJob, parts: Parts) -> None:
    with pytest.raises(Conflict, match="nothing to retry"):
        parts.orchestrator.retry(run_job({"a": echo()}).id)
    with pytest.raises(Conflict, match="Cancel it first"):
        parts.orchestrator.retry(parts.orchestrator.submit(spec({"a": echo()}), {}))


def test_unknown_jobs_are_not_found(parts: Parts) -> None:
    for call in (parts.state.job, parts.state.head, parts.logs.read, parts.orchestrator.resume):
        with pytest.raises(NotFound, match="no job 'job_x'"):
            call("job_x")


def test_a_log_reads_the_same_from_the_archive(run_job: RunJob, parts: Parts) -> None:
    job = run_job({"a": echo(), "b": echo("a")})
    live = parts.logs.read(job.id)
    parts.logs.drop_live(job.id)

    assert not parts.connection.exists(keys.log(job.id))
    assert parts.logs.read(job.id) == live
    middle = live[3]["id"]
    assert [record["id"] for record in parts.logs.read(job.id, middle)] == [record["id"] for record in live[4:]]


def test_node_states_are_stored_without_their_defaults_and_come_back_whole(parts: Parts) -> None:
    state = NodeState(status="ready", attempt=2, notes={"a": 1})

    assert NodeState(**state.as_record()) == state
    assert NodeState(**NodeState().as_record()) == NodeState()


def test_a_worker_that_does_not_know_an_agent_says_so_at_once(parts: Parts, own_worker: InProcessWorker) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo(), "b": echo("a")}), {})
    own_worker.runner.orchestrator.agents = {}
    own_worker.work_off(["default"])

    state = parts.state.job(job_id).nodes["a"]
    assert (state.status, state.attempt) == ("failed", 1)
    assert "knows no agent 'echo'. Set TUNELINE_AGENTS for the workers" in state.error["message"]


def test_a_plan_that_this_worker_can_not_read_fails_its_node_at_once(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo(config={"say": "hello"})}), {})
    plan = parts.connection.get(keys.plan(job_id)).decode()
    parts.connection.set(keys.plan(job_id), plan.replace('"say"', '"key_of_another_version"'))
    drain()

    state = parts.state.job(job_id).nodes["a"]
    assert (state.status, state.attempt) == ("failed", 1)
    assert "key_of_another_version" in state.error["message"]
