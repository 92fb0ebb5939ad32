"""Lists of jobs by status and name: right whoever wrote the jobs, and no dearer where there are many."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api.main import create_app
from app.wiring import Parts
from pipelines.engine.state import keys
from pipelines.engine.state.job import JobHead, JobStatus
from pipelines.engine.upkeep.housekeeping import Garbage
from pipelines.judge import judge
from tests.support.agents import TEST_AGENTS, echo, spec


@pytest.fixture
def api(parts: Parts) -> TestClient:
    return TestClient(create_app(parts))


def listed(api: TestClient, **query: Any) -> tuple[list[str], int]:
    """Return the ids of a list of jobs, and its total."""
    answer = api.get("/jobs", params=query).json()
    return [job["id"] for job in answer["jobs"]], answer["total"]


def write_unindexed(parts: Parts, job_ids: list[str], status: JobStatus, name: str) -> None:
    """Store jobs as a release without an index did."""
    plan = judge(spec({"a": echo()}, name=name), {}, TEST_AGENTS).model_dump_json()
    with parts.connection.pipeline() as pipe:
        for number, job_id in enumerate(job_ids):
            head = JobHead(status=status, created_at=float(number))
            pipe.zadd(keys.JOBS, {job_id: head.created_at})
            pipe.set(keys.plan(job_id), plan)
            pipe.hset(keys.state(job_id), "head", json.dumps(head.as_record()))
            pipe.hset(keys.state(job_id), "node:a", "{}")
        pipe.execute()


def test_a_job_is_found_by_its_status_and_its_name(parts: Parts, api: TestClient, drain: Callable[[], None]) -> None:
    first = parts.orchestrator.submit(spec({"a": echo()}, name="one"), {})
    drain()
    second = parts.orchestrator.submit(spec({"a": echo()}, name="one"), {})
    third = parts.orchestrator.submit(spec({"a": {"agent": "fail"}}, name="two"), {})

    assert listed(api, status="completed") == ([first], 1)
    assert listed(api, status="queued") == ([third, second], 2)
    assert listed(api, name="one") == ([second, first], 2)
    assert listed(api, name="one", status="queued") == ([second], 1)
    assert listed(api, name="none") == ([], 0)
    assert listed(api, status="queued", offset=1) == ([second], 2)
    parts.orchestrator.stop(second, "cancel")
    drain()
    assert listed(api, name="one", status="cancelled") == ([second], 1)
    assert listed(api, status="failed") == ([third], 1)
    assert listed(api, status="queued") == ([], 0)


def test_jobs_from_before_the_index_are_taken_in_once(parts: Parts, api: TestClient) -> None:
    write_unindexed(parts, ["job_a", "job_b"], "completed", "old")
    write_unindexed(parts, ["job_c"], "failed", "old")
    new = parts.orchestrator.submit(spec({"a": echo()}, name="old"), {})

    for _ in range(2):
        assert listed(api, name="old")[1] == 4
        assert listed(api, status="completed") == (["job_b", "job_a"], 2)
        assert listed(api, status="failed", name="old") == (["job_c"], 1)
        assert listed(api, status="queued") == ([new], 1)


def test_what_an_older_process_changed_is_put_right(parts: Parts, api: TestClient) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo()}, name="one"), {})
    head = JobHead(status="completed", created_at=5.0)
    parts.connection.hset(keys.state(job_id), "head", json.dumps(head.as_record()))

    assert listed(api, status="queued", name="one") == ([], 0)
    assert listed(api, status="completed", name="one") == ([job_id], 1)


def test_a_job_that_was_forgotten_is_in_no_list(parts: Parts, api: TestClient, drain: Callable[[], None]) -> None:
    by_this_release, by_an_older_one = [parts.orchestrator.submit(spec({"a": echo()}), {}) for _ in range(2)]
    drain()
    parts.housekeeper.remove(Garbage(jobs=(by_this_release,)))
    assert listed(api, name="test") == ([by_an_older_one], 1)

    parts.connection.zrem(keys.JOBS, by_an_older_one)
    parts.connection.delete(keys.state(by_an_older_one), keys.plan(by_an_older_one))
    assert listed(api, name="test") == listed(api, status="completed", name="test") == ([], 0)
    assert parts.connection.keys("tuneline:jobs*") == []


def test_a_job_that_can_not_be_read_hides_no_other(parts: Parts, api: TestClient) -> None:
    write_unindexed(parts, ["job_a", "job_b"], "completed", "one")
    plan = parts.connection.getset(keys.plan("job_a"), "{}")

    assert listed(api, status="completed") == (["job_b"], 1)
    parts.connection.set(keys.plan("job_a"), plan)
    assert listed(api, status="completed") == (["job_b", "job_a"], 2)


@pytest.mark.parametrize("query", [{"status": "completed"}, {"name": "many"}, {"status": "completed", "name": "many"}])
def test_of_two_thousand_jobs_only_a_page_is_read(parts: Parts, api: TestClient, query: dict[str, str]) -> None:
    write_unindexed(parts, [f"job_{number:04}" for number in range(2_000)], "completed", "many")
    write_unindexed(parts, [f"job_other_{number:04}" for number in range(100)], "failed", "few")
    assert listed(api, **query)[1] == 2_000
    before = parts.connection.info("stats")["total_commands_processed"]
    jobs, total = listed(api, **query, limit=50, offset=1_000)
    commands = parts.connection.info("stats")["total_commands_processed"] - before

    assert (jobs[0], len(jobs), total) == ("job_0999", 50, 2_000)
    assert commands <= 2 * 50 + 15
