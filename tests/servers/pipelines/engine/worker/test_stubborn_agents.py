"""Whatever light agents do in the worker's process, their attempts end in time and the worker goes on."""

import signal
import subprocess
from typing import Any

import pytest

from app.wiring import Parts
from pipelines.engine.state import keys
from tests.support.agents import STUBBORN, echo, spec
from tests.support.processes import wait_for, wait_until_gone, worker_processes

pytestmark = pytest.mark.slow
DEAF = ["loops in C", "catches everything", "reads what never comes", "ignores signals", "stops its process"]
ENDS = ["sys.exit", "sys.exit with a text", "KeyboardInterrupt", "GeneratorExit", "own BaseException"]
DEATHS = {"os._exit": "exit code 7", "os._exit(0)": "exit code 0", "abort": "SIGABRT", "SIGALRM": "SIGALRM"}
DEATHS |= {"SIGSEGV": "SIGSEGV"}


def stubborn(how: str, **fields: Any) -> dict[str, Any]:
    assert how in STUBBORN
    config = {"how": how, "early": fields.pop("early", False)}
    return {"agent": fields.pop("agent", "stubborn"), "config": config, "retries": 0, **fields}


def submit(parts: Parts, node: dict[str, Any]) -> str:
    return parts.orchestrator.submit(spec({"a": node}), {})


def assert_goes_on(parts: Parts, worker: subprocess.Popen[bytes]) -> None:
    """Check that the same worker runs what comes next, and that nothing of the attempt before is left."""
    job_id = submit(parts, echo(cache=False))
    wait_for(parts, job_id, "job_completed")
    assert worker.poll() is None
    assert (parts.state.job(job_id).nodes["a"].worker or "").endswith(f"-{worker.pid}")
    assert [parts.connection.zcard(key) for key in (keys.LEASES, keys.SENT, keys.DUE)] == [0, 0, 0]


def error_of(parts: Parts, job_id: str) -> dict[str, Any]:
    node = parts.state.job(job_id).nodes["a"]
    assert (node.status, node.attempt, node.losses) == ("failed", 1, 0)
    return node.error or {}


def test_a_timeout_ends_what_does_not_stop(parts: Parts) -> None:
    with worker_processes() as (worker,):
        for how in DEAF:
            job_id = submit(parts, stubborn(how, timeout="0.5s"))
            wait_for(parts, job_id, "job_failed")
            assert error_of(parts, job_id)["error"] == "TIMED_OUT"
            assert "ran longer than its timeout of 0.5 s. Raise nodes.a.timeout" in error_of(parts, job_id)["message"]
            assert_goes_on(parts, worker)


def test_a_cancel_ends_what_does_not_stop(parts: Parts) -> None:
    with worker_processes() as (worker,):
        for how in DEAF:
            job_id = submit(parts, stubborn(how))
            process = wait_for(parts, job_id, "waiting")["pid"]
            parts.orchestrator.stop(job_id, "cancel")
            wait_for(parts, job_id, "job_cancelled")
            wait_until_gone(process)
            assert parts.state.job(job_id).nodes["a"].status == "cancelled"
            assert_goes_on(parts, worker)


@pytest.mark.parametrize("how", DEAF)
def test_a_worker_told_to_stop_hands_back_what_does_not(parts: Parts, how: str) -> None:
    job_id = submit(parts, stubborn(how))
    with worker_processes() as (worker,):
        process = wait_for(parts, job_id, "waiting")["pid"]
        worker.send_signal(signal.SIGTERM)
        wait_for(parts, job_id, "node_handed_back")
        assert worker.wait(30) == 0
        wait_until_gone(process)

    node = parts.state.job(job_id).nodes["a"]
    assert (node.status, node.attempt, node.losses, node.failures) == ("ready", 2, 0, 0)


@pytest.mark.parametrize("how", ["loops in C", "reads what never comes"])
def test_what_an_agent_says_of_its_step_is_bounded_too(parts: Parts, how: str) -> None:
    job_id = submit(parts, stubborn(how, early=True, timeout="0.5s"))
    with worker_processes() as (worker,):
        wait_for(parts, job_id, "job_failed")
        assert error_of(parts, job_id)["error"] == "TIMED_OUT"
        assert_goes_on(parts, worker)


@pytest.mark.parametrize("agent", ["stubborn", "heavy_stubborn"])
def test_asking_for_the_end_of_the_process_fails_the_agent(parts: Parts, agent: str) -> None:
    with worker_processes() as (worker,):
        for how, early in [*((how, False) for how in ENDS), ("sys.exit", True)]:
            job_id = submit(parts, stubborn(how, agent=agent, early=early))
            wait_for(parts, job_id, "job_failed")
            error = error_of(parts, job_id)
            assert error["error"] == "AGENT_FAILED"
            assert "in agents.py:" in error["message"]
            assert_goes_on(parts, worker)


def test_a_death_is_told_at_once_and_others_go_on(parts: Parts) -> None:
    with worker_processes() as (worker,):
        for how, told in DEATHS.items():
            job_id = submit(parts, stubborn(how))
            wait_for(parts, job_id, "job_failed")
            error = error_of(parts, job_id)
            assert error["error"] == "WORKER_LOST"
            assert f"The process of 'a' ended by itself ({told})." in error["message"]
            assert_goes_on(parts, worker)


def test_one_that_is_killed_again_and_again_is_given_up(parts: Parts) -> None:
    with worker_processes() as (worker,):
        job_id = submit(parts, stubborn("SIGKILL"))
        wait_for(parts, job_id, "job_failed")
        node = parts.state.job(job_id).nodes["a"]
        assert (node.attempt, node.losses, node.failures) == (5, 4, 1)
        assert "It was the 5th to do so" in (node.error or {})["message"]
        assert_goes_on(parts, worker)


def test_a_timer_that_an_agent_leaves_strikes_no_other(parts: Parts) -> None:
    nodes = {"a": stubborn("leaves an alarm"), "b": {**stubborn("loops in C", timeout="0.5s"), "needs": ["a"]}}
    job_id = parts.orchestrator.submit(spec(nodes), {})
    with worker_processes() as (worker,):
        wait_for(parts, job_id, "job_failed")
        found = parts.state.job(job_id).nodes
        assert (found["a"].status, (found["b"].error or {})["error"]) == ("completed", "TIMED_OUT")
        assert_goes_on(parts, worker)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0


def test_memory_is_bounded(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNELINE_LIGHT_MEMORY_MIB", "700")
    with worker_processes() as (worker,):
        job_id = submit(parts, stubborn("fills memory"))
        wait_for(parts, job_id, "job_failed")
        error = error_of(parts, job_id)
        assert error["error"] == "OUT_OF_MEMORY"
        assert "held more than the 700 MiB of memory that a light agent may hold. Raise TUNELINE_" in error["message"]
        assert_goes_on(parts, worker)
