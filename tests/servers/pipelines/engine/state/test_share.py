"""A large job holds up a small one no longer than its share of the queue does, and nothing of it is lost."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.wiring import Parts, build_parts
from pipelines.engine.state import keys
from pipelines.engine.state.job import Claimed, Completed
from tests.support.agents import echo, spec

SHARE = 3


@pytest.fixture
def parts(parts: Parts) -> Parts:
    return build_parts(parts.settings.model_copy(update={"queue_share": SHARE}))


def wide(count: int) -> dict[str, object]:
    return spec({"root": echo(cache=False), **{f"n{i}": echo("root", cache=False) for i in range(count)}})


def flat(count: int) -> dict[str, object]:
    return spec({f"n{i}": echo(cache=False) for i in range(count)})


def waiting(parts: Parts) -> list[str]:
    """Return the messages in the queue, the next one first."""
    return [key.decode() for key in parts.connection.lrange("rq:queue:default", 0, -1)]


def left(parts: Parts) -> list[str]:
    """Return what is left in Redis once all jobs have ended."""
    found = [key.decode() for key in parts.connection.keys("rq:job:*") + parts.connection.keys("*:held:*")]
    return [*found, *(key for key in (keys.SENT, keys.LEASES, keys.HOLDING) if parts.connection.exists(key))]


def test_a_small_job_waits_for_no_more_than_the_share(parts: Parts, drain: Callable[[], None]) -> None:
    large = parts.orchestrator.submit(flat(40), {})
    small = parts.orchestrator.submit(spec({"a": echo()}), {})

    assert waiting(parts) == [*(f"{large}-{i}-1" for i in range(SHARE)), f"{small}-0-1"]
    drain()
    assert {parts.state.head(job).status for job in (large, small)} == {"completed"}
    log = [record["event"] for record in parts.logs.read(large)]
    assert log.count("node_started") == log.count("node_completed") == 40
    assert left(parts) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_every_node_runs_once_whatever_the_graph(parts: Parts, drain: Callable[[], None], shape: list[int]) -> None:
    above: list[str] = []
    nodes = {}
    for layer, width in enumerate(shape):
        names = [f"l{layer}_{i}" for i in range(width)]
        nodes |= {name: echo(*above[i % 2 :: 2], cache=False) for i, name in enumerate(names)}
        above = names
    job_id = parts.orchestrator.submit(spec(nodes), {})
    drain()
    started = [record["node"] for record in parts.logs.read(job_id) if record["event"] == "node_started"]
    assert sorted(started) == sorted(nodes)
    assert parts.state.head(job_id).status == "completed"
    assert left(parts) == []


def test_each_claim_sends_the_next(parts: Parts) -> None:
    job_id = parts.orchestrator.submit(flat(8), {})
    parts.state.apply(job_id, Claimed("n0", 1, "w"))
    assert waiting(parts) == [f"{job_id}-{i}-1" for i in (1, 2, 3)]
    parts.state.apply(job_id, Claimed("n2", 1, "w"))
    assert waiting(parts) == [f"{job_id}-{i}-1" for i in (1, 3, 4)]
    assert parts.connection.zcard(keys.SENT) == SHARE


@pytest.mark.parametrize("stop", ["cancel", "pause"])
def test_what_is_held_back_is_dropped_with_the_rest_and_comes_back_once(
    parts: Parts, drain: Callable[[], None], stop: str
) -> None:
    job_id = parts.orchestrator.submit(wide(12), {})
    parts.state.apply(job_id, Claimed("root", 1, "w"))
    parts.orchestrator.stop(job_id, "pause")
    parts.orchestrator.resume(job_id)
    drain_root(parts, job_id)
    assert len(waiting(parts)) == SHARE
    parts.orchestrator.stop(job_id, stop)  # type: ignore[arg-type]
    assert left(parts) == []
    if stop == "pause":
        parts.orchestrator.resume(job_id)
        assert len(waiting(parts)) == SHARE
        drain()
    assert parts.state.head(job_id).status == ("cancelled" if stop == "cancel" else "completed")
    assert left(parts) == []


def drain_root(parts: Parts, job_id: str) -> None:
    """Let the claimed first node end."""
    output = {"said": "", "level": 1, "heard": [], "artifact": {"uri": "", "sha256": "0" * 64, "size_bytes": 0}}
    parts.orchestrator.node_ended(job_id, Completed("root", 1, output), [])


def test_what_nobody_sent_on_is_sent_by_the_sweeper(
    parts: Parts, drain: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.engine.upkeep.sweeper.LOST_MESSAGE_S", -1.0)
    job_id = parts.orchestrator.submit(flat(8), {})
    messages = waiting(parts)
    # As a worker of an older release claims, without sending the next.
    parts.connection.zrem(keys.SENT, *messages)
    parts.connection.delete("rq:queue:default")

    assert parts.sweeper.sweep() == 1
    assert waiting(parts) == [f"{job_id}-{SHARE}-1"]
    assert parts.sweeper.sweep() == 0
    drain()
    statuses = [state.status for state in parts.state.job(job_id).nodes.values()]
    assert statuses == ["ready"] * SHARE + ["completed"] * (8 - SHARE)


def test_a_chain_holds_nothing_back_and_asks_nothing(parts: Parts) -> None:
    chain = {f"n{i}": echo(*([f"n{i - 1}"] if i else [])) for i in range(50)}
    job_id = parts.orchestrator.submit(spec(chain), {})
    assert parts.state.plan(job_id).most_ready == 1
