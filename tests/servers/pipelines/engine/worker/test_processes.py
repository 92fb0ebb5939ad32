"""Workers and agents as real processes: killed, frozen, told to stop."""

import signal

import pytest

from app.wiring import Parts
from pipelines.engine import keys
from tests.support.agents import echo, spec
from tests.support.processes import is_alive, wait_for, wait_until_gone, worker_processes

pytestmark = pytest.mark.slow
WAIT = {"wait": {"agent": "wait"}, "after": echo("wait")}


def completed_cleanly(parts: Parts, job_id: str) -> bool:
    """Say whether a job completed and left no lease, message or waiting retry behind."""
    job = parts.state.job(job_id)
    left = [parts.connection.zcard(key) for key in (keys.LEASES, keys.SENT, keys.DUE)]
    return job.head.status == "completed" and left == [0, 0, 0] and job.outputs["after"]["heard"] == ["done"]


def test_a_killed_worker_has_its_node_run_elsewhere(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(spec(WAIT), {})
    with worker_processes() as (first,):
        child = wait_for(parts, job_id, "waiting")["pid"]
        first.kill()
        wait_until_gone(child)
        with worker_processes():
            wait_for(parts, job_id, "worker_lost", attempt=1)
            wait_for(parts, job_id, "job_completed")

    assert completed_cleanly(parts, job_id)
    assert parts.state.job(job_id).nodes["wait"].attempt == 2


def test_a_killed_agent_process_is_tried_again(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(
        spec({"a": {"agent": "killed", "config": {"kind": "killed", "times": 1}, "retries": 1}}), {}
    )
    with worker_processes():
        error = wait_for(parts, job_id, "node_retrying")["error"]
        wait_for(parts, job_id, "job_completed")

    assert error["error"] == "WORKER_LOST"
    assert "SIGKILL" in error["message"]
    assert "smaller batch_size" in error["message"]


def test_a_thawed_zombie_writes_nothing(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(spec(WAIT), {})
    with worker_processes() as (frozen,):
        child = wait_for(parts, job_id, "waiting")["pid"]
        frozen.send_signal(signal.SIGSTOP)
        with worker_processes():
            wait_for(parts, job_id, "job_completed")
            before = parts.connection.xlen(keys.log(job_id))
            frozen.send_signal(signal.SIGCONT)
            wait_until_gone(child)

    assert completed_cleanly(parts, job_id)
    assert parts.connection.xlen(keys.log(job_id)) == before


def test_cancel_lets_a_training_save_a_checkpoint_first(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(spec(WAIT), {})
    with worker_processes():
        child = wait_for(parts, job_id, "waiting")["pid"]
        parts.orchestrator.stop(job_id, "cancel")
        wait_for(parts, job_id, "checkpoint_saved")
        wait_for(parts, job_id, "job_cancelled")
        assert not is_alive(child)

    assert {state.status for state in parts.state.job(job_id).nodes.values()} == {"cancelled"}


def test_an_agent_that_does_not_answer_is_killed_after_the_grace_time(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(spec({"wait": {"agent": "wait", "config": {"deaf": True}}}), {})
    with worker_processes():
        child = wait_for(parts, job_id, "waiting")["pid"]
        parts.orchestrator.stop(job_id, "cancel")
        wait_for(parts, job_id, "job_cancelled")
        assert not is_alive(child)


@pytest.mark.parametrize("end", ["cancel", "killed worker", "own end"])
def test_what_an_agent_started_ends_with_it(parts: Parts, end: str) -> None:
    wait = {"agent": "wait", "config": {"helper": True, "deaf": end == "cancel"}}
    job_id = parts.orchestrator.submit(spec({"wait": wait}), {})
    with worker_processes() as (worker,):
        helper = wait_for(parts, job_id, "waiting")["helper"]
        if end == "killed worker":
            worker.kill()
        else:
            parts.orchestrator.stop(job_id, "cancel")
        wait_until_gone(helper)


@pytest.mark.parametrize("agent", ["wait", "light_wait"])
def test_a_deaf_agent_is_stopped_by_its_timeout(parts: Parts, agent: str) -> None:
    node = {"agent": agent, "config": {"deaf": True}, "timeout": "1s", "retries": 0}
    job_id = parts.orchestrator.submit(spec({"wait": node}), {})
    with worker_processes():
        wait_for(parts, job_id, "job_failed")

    error = parts.state.job(job_id).nodes["wait"].error or {}
    assert error["error"] == "TIMED_OUT"
    assert "Raise nodes.wait.timeout" in error["message"]


def test_pause_then_resume_goes_on(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(spec(WAIT), {})
    with worker_processes():
        wait_for(parts, job_id, "waiting")
        parts.orchestrator.stop(job_id, "pause")
        wait_for(parts, job_id, "job_paused")
        parts.orchestrator.resume(job_id)
        wait_for(parts, job_id, "job_completed")

    assert completed_cleanly(parts, job_id)


def test_sigterm_hands_a_training_back_and_the_next_worker_goes_on(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(spec(WAIT), {})
    with worker_processes() as (first,):
        wait_for(parts, job_id, "waiting")
        first.terminate()
        wait_for(parts, job_id, "node_handed_back")
        assert first.wait(30) == 0
        with worker_processes():
            wait_for(parts, job_id, "job_completed")

    assert completed_cleanly(parts, job_id)
    assert parts.state.job(job_id).nodes["wait"].losses == 0


def test_many_workers_run_each_node_of_a_wide_job_once(parts: Parts) -> None:
    nodes = {"root": echo(), **{f"n{i}": echo("root") for i in range(40)}}
    nodes["join"] = echo(*(f"n{i}" for i in range(40)))
    job_id = parts.orchestrator.submit(spec(nodes), {})
    with worker_processes(4):
        wait_for(parts, job_id, "job_completed")

    started = [record["node"] for record in parts.logs.read(job_id) if record["event"] == "node_started"]
    assert sorted(started) == sorted(nodes)
