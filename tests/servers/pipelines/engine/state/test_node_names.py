"""Whatever the values of a matrix are: every key, id and path that comes of a node's name works."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.base.object_store import ObjectStore
from app.api.main import create_app
from app.wiring import Parts, build_parts
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys
from pipelines.engine.worker.attempt import checkpoint_prefixes
from pipelines.judge import judge
from tests.servers.conftest import RunJob
from tests.support.agents import TEST_AGENTS, echo, spec

AWKWARD = [
    *(
        "a|b.jsonl",
        "|",
        "a:b",
        "../../etc/passwd",
        "/",
        "a/b/../c",
        ".",
        "..",
        " ",
        "",
        "a\nb",
        "a\0b",
        "a b",
        "-",
        "-1-2",
    ),
    *(
        "Grüße, 世界 🎉",
        "x" * 1000,
        "é" * 1000,
        "%2F",
        "a?b#c",
        "job|a|1",
        "[1]",
        "a,b=c",
        '"',
        "\\",
        "*",
        "\u2028",
        "\r\n",
    ),
]
VALUES = (
    st.sampled_from(AWKWARD)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.text(alphabet="|:/.-[]=, \n\0", max_size=1000)
)
ON_SERVERS = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(autouse=True)
def _long_lived_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.engine.upkeep.sweeper.Sweeper._redis_has_just_started", lambda _: False)


def sweep(parts: Parts) -> None:
    """Sweep twice as a process of its own that has just begun."""
    sweeper = build_parts(parts.settings).sweeper
    sweeper.sweep()
    sweeper.sweep()


def swept(values: list[str]) -> dict[str, Any]:
    """Return a spec whose node has these values, and one that needs all of them."""
    return spec({"a": echo(matrix={"say": values}), "join": echo("a")})


@given(st.lists(VALUES | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none(), min_size=1, max_size=8))
def test_every_value_is_a_node_of_its_own(values: list[Any]) -> None:
    texts = {json.dumps(value): value for value in values}
    plan = judge(spec({"a": {"agent": "any", "matrix": {"value": values}}}), {}, {"any": TEST_AGENTS["anything"]})

    assert sorted(json.dumps(node.config["value"]) for node in plan.nodes.values()) == sorted(texts)
    assert [node.number for node in plan.nodes.values()] == list(range(len(texts)))


def test_names_that_would_meet_are_told_apart_by_quotes() -> None:
    plan = judge(spec({"a": {"agent": "any", "matrix": {"value": [1, "1", 1]}}}), {}, {"any": TEST_AGENTS["anything"]})

    assert list(plan.nodes) == ["a[value=1]", 'a[value="1"]']


@ON_SERVERS
@given(values=st.lists(VALUES, min_size=1, max_size=3, unique=True))
def test_a_job_runs_through_and_shows_all_it_has(parts: Parts, drain: Callable[[], None], values: list[str]) -> None:
    api = TestClient(create_app(parts), raise_server_exceptions=False)
    job_id = parts.orchestrator.submit(swept(values), {})
    first = next(iter(parts.state.plan(job_id).nodes.values()))
    attempt = AttemptId(job_id, first.number, 1)
    parts.orchestrator.claim(job_id, first.name, 1, "silent")
    parts.logs.append(attempt, first.name, 1, {"kind": "progress", "done": 1, "total": 2})
    assert api.get("/workers").status_code == 200
    assert parts.state.progress(job_id)[first.name]["done"] == 1
    parts.connection.zadd(keys.LEASES, {attempt.key(): 1})
    parts.connection.zadd(keys.SENT, {AttemptId(job_id, node, 1).key(): 1 for node in range(len(values))})
    sweep(parts)
    drain()
    job = parts.state.job(job_id)

    assert job.head.status == "completed"
    assert sorted(job.outputs["join"]["heard"]) == sorted(values)
    assert [parts.connection.zcard(key) for key in (keys.LEASES, keys.SENT, keys.DUE, keys.UNARCHIVED)] == [0, 0, 0, 0]
    assert parts.connection.hlen(keys.SET_ASIDE) == 0
    assert parts.logs.is_archived(job_id)
    for name, output in job.outputs.items():
        found = api.get(f"/jobs/{job_id}/artifacts/{quote(name, safe='')}/artifact")
        assert found.content.decode() == output["said"]
    logs = api.get(f"/jobs/{job_id}/logs", params={"node": first.name}).json()["records"]
    assert {record["node"] for record in logs} == {first.name}


def test_files_whose_names_have_bars_are_swept_over(run_job: RunJob, parts: Parts, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a|b.jsonl", "c d.jsonl")]
    for number, file in enumerate(files, start=1):
        file.write_text('{"text": "win", "label": "spam"}\n{"text": "hello", "label": "ham"}\n' * number)
    job = run_job({"rows": {"agent": "dataset", "matrix": {"source": [str(file) for file in files]}}})

    assert job.head.status == "completed", [node.error for node in job.nodes.values()]
    assert [output["row_count"] for output in job.outputs.values()] == [2, 4]
    assert list(job.outputs) == [f"rows[source={file}]" for file in files]


def test_an_agent_in_a_process_of_its_own_has_such_a_name_too(run_job: RunJob) -> None:
    job = run_job({"a": {"agent": "killed", "config": {"times": 0}, "matrix": {"kind": ["a|b\0/../\n", "é" * 500]}}})

    assert job.head.status == "completed", [node.error for node in job.nodes.values()]


@ON_SERVERS
@given(values=st.lists(VALUES, min_size=1, max_size=3, unique=True))
def test_a_job_is_cancelled_while_it_waits(parts: Parts, values: list[str]) -> None:
    job_id = parts.orchestrator.submit(swept(values), {})
    parts.orchestrator.stop(job_id, "cancel")
    sweep(parts)

    assert parts.state.head(job_id).status == "cancelled"
    assert not any(parts.state.queues.lengths().values())
    assert parts.connection.zcard(keys.SENT) == 0


@ON_SERVERS
@given(value=VALUES)
def test_checkpoints_have_a_place_whatever_the_name(objects: ObjectStore, value: str) -> None:
    node = next(iter(judge(swept([value]), {}, TEST_AGENTS).nodes.values()))
    own, *older = checkpoint_prefixes(["job_1"], node)
    objects.put(f"{own}/state.json", b"{}")

    assert objects.keys(f"{own}/") == [f"{own}/state.json"]
    for prefix in older:
        assert objects.keys(f"{prefix}/") == []


@ON_SERVERS
@given(value=VALUES)
def test_a_version_number_stays_with_its_node(parts: Parts, value: str) -> None:
    twice = spec({"a": {"agent": "version", "matrix": {"say": [value, value + "2"]}}})
    first, second = judge(twice, {}, TEST_AGENTS).nodes.values()
    number = parts.registry.reserve("m", "job_1", first)

    assert parts.registry.reserve("m", "job_1", second) == number + 1
    assert parts.registry.reserve("m", "job_1", first) == number
    parts.connection.delete(keys.reserved("m"))


@pytest.mark.parametrize("name", ["é", "a b", "a|b", "A", "a" * 64, "", "a\n", "a.b", "\u0661"])
def test_the_names_of_nodes_are_plain(parts: Parts, name: str) -> None:
    api = TestClient(create_app(parts))
    answer = api.post("/jobs", json=spec({name: echo()}))

    assert answer.status_code == 422
    assert "at most 63" in answer.json()["details"][0]["message"]


# -- entries that can't be handled ------------------------------------------------------------


BAD = [b"a|b", b"\xff\xfe", b"", b"job_x", b"job_x-0", b"job_x-0-01", b"a" * 5000, b"job odd-0-1", b"job_real-99-1"]


@pytest.mark.parametrize("source", [keys.LEASES, keys.DUE, keys.SENT])
def test_an_entry_that_nothing_can_be_made_of_stops_no_other(
    parts: Parts, drain: Callable[[], None], source: str
) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    parts.orchestrator.claim(job_id, "a", 1, "silent")
    parts.connection.zadd(keys.LEASES, {AttemptId(job_id, 0, 1).key(): 1})
    bad = [*BAD[:-1], f"{job_id}-99-1".encode()]
    parts.connection.zadd(source, dict.fromkeys(bad, 0))
    with structlog.testing.capture_logs() as logs:
        sweep(parts)
    drain()
    health = TestClient(create_app(parts)).get("/health")

    assert parts.state.head(job_id).status == "completed"
    assert parts.connection.zcard(source) == 0
    assert [record["event"] for record in logs].count("set_aside") == len(bad)
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert {each["source"] for each in health.json()["set_aside"]} == {source}
    assert sorted(each["entry"] for each in health.json()["set_aside"]) == sorted(
        b.decode(errors="replace") for b in bad
    )


def test_a_job_that_can_not_be_archived_stops_no_other(parts: Parts, drain: Callable[[], None]) -> None:
    parts.connection.set(keys.plan("job_odd"), "{}")
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    drain()
    parts.connection.zadd(keys.UNARCHIVED, {"job_odd": 0, "job_gone": 1, job_id: 2})
    sweep(parts)

    assert parts.connection.zcard(keys.UNARCHIVED) == 0
    (aside,) = TestClient(create_app(parts)).get("/health").json()["set_aside"]
    assert (aside["source"], aside["entry"]) == (keys.UNARCHIVED, "job_odd")
    assert "ValidationError" in aside["reason"]


def test_what_was_set_aside_is_tried_again_by_the_next_process(parts: Parts, drain: Callable[[], None]) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    parts.orchestrator.claim(job_id, "a", 1, "silent")
    entry = AttemptId(job_id, 0, 1).key()
    plan = parts.connection.getset(keys.plan(job_id), "{}")
    parts.state._cached_plan.cache_clear()
    parts.connection.zadd(keys.LEASES, {entry: 1})
    sweep(parts)
    assert parts.connection.hlen(keys.SET_ASIDE) == 1

    parts.connection.set(keys.plan(job_id), plan)
    build_again = type(parts)(parts.settings)
    sweep(build_again)
    drain()

    assert parts.connection.hlen(keys.SET_ASIDE) == 0
    assert build_again.state.head(job_id).status == "completed"
