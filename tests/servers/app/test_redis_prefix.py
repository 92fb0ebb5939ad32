"""Two installations on one Redis database, each with a prefix of its own: neither sees the other."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

from app.settings import Settings
from app.wiring import Parts, build_parts
from pipelines.engine.state import keys
from pipelines.engine.state.log_follower import LogFollower
from pipelines.engine.state.registration import Registration
from tests.support.agents import echo, spec
from tests.support.in_process import InProcessWorker


@pytest.fixture
def installation(settings: Settings, connection: redis.Redis) -> Callable[[str], Parts]:
    def build(prefix: str) -> Parts:
        bucket = f"{settings.s3_bucket}-{prefix}".replace(".", "-").strip("-")
        made = build_parts(settings.model_copy(update={"redis_prefix": prefix, "s3_bucket": bucket}), patient=True)
        made.check()
        return made

    return build


def all_keys(connection: redis.Redis) -> set[str]:
    """Return all keys but the marks that each installation makes at its start."""
    return {name for key in connection.keys("*") if not (name := key.decode()).endswith(keys.INSTALLATION)}


def test_two_installations_run_jobs_beside_each_other(
    installation: Callable[[str], Parts], connection: redis.Redis
) -> None:
    staging, production, plain = installation("staging"), installation("staging.2"), installation("")
    nodes = {"a": echo(), "b": echo("a"), "v": {"agent": "version", "needs": ["b"]}}
    one = staging.orchestrator.submit(spec(nodes, name="echo"), {}, "the same key")
    two = production.orchestrator.submit(spec(nodes, name="echo"), {}, "the same key")
    InProcessWorker(staging).work_off(["default", "training"])

    assert staging.state.head(one).status == "completed"
    assert production.state.head(two).status == "queued"
    assert staging.registry.aliases("echo") == {"champion": 1}
    assert production.registry.aliases("echo") == plain.registry.aliases("echo") == {}
    assert (staging.state.job_ids(), production.state.job_ids(), plain.state.job_ids()) == ([one], [two], [])
    assert (staging.state.queues.lengths(), production.state.queues.lengths()) == ({"default": 0}, {"default": 1})
    InProcessWorker(production).work_off(["default"])
    assert production.state.head(two).status == "completed"
    for made, job_id in ((staging, one), (production, two)):
        made.sweeper.sweep()
        made.housekeeper.find()
        made.job_index.rebuild()
        assert [job.id for job in made.job_index.page("completed", None, 0, 10).jobs] == [job_id]
    assert {key.partition(":")[0] for key in all_keys(connection)} == {"staging", "staging.2"}


def test_workers_and_wishes_of_one_are_not_the_others(
    installation: Callable[[str], Parts], connection: redis.Redis
) -> None:
    one, other, plain = installation("one"), installation("other"), installation("")
    Registration(one.connection, "host-1", ["default"]).beat()
    one.fleet.want("default", 3)

    assert [worker.name for worker in one.fleet.workers()] == ["host-1"]
    assert other.fleet.workers() == plain.fleet.workers() == []
    assert (one.fleet.wanted(), other.fleet.wanted()) == ({"default": 3}, {})
    assert all(key.startswith("one:") for key in all_keys(connection))
    assert b"one:rq:worker:host-1" not in {*one.connection.keys("*")}


def test_a_follower_keeps_to_the_prefix(installation: Callable[[str], Parts]) -> None:
    made = installation("followed")
    job_id = made.orchestrator.submit(spec({"a": echo()}), {})

    async def follow() -> tuple[list[dict[str, Any]], bool]:
        async with LogFollower(made.redis_url, made.logs, job_id) as follower:
            return await follower.next("0-0")

    records, ended = asyncio.run(follow())
    assert ([record["event"] for record in records], ended) == (["job_submitted"], False)


def test_without_a_prefix_names_are_those_of_before(
    installation: Callable[[str], Parts], connection: redis.Redis
) -> None:
    made = installation("")
    job_id = made.orchestrator.submit(spec({"a": echo()}), {})
    Registration(made.connection, "host-1", ["default"]).beat()

    names = {"tuneline:jobs", f"tuneline:job:{job_id}", "rq:queue:default", f"rq:job:{job_id}-0-1", "rq:worker:host-1"}
    assert names <= all_keys(connection)
    assert type(made.connection) is redis.Redis
