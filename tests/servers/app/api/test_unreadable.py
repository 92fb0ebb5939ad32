"""What JSON can't hold and what nobody can read: whoever wrote it, every reader goes on and says so."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from agents.base import bucket
from app.client import Client
from app.wiring import Parts
from pipelines.engine.state import keys
from pipelines.engine.state.log_records import UNREADABLE
from tests.support.agents import spec

#: A record as 0.1.0 wrote it, and entries that another program put into the stream.
ENTRIES: list[dict[str, Any]] = [
    {"level": "info", "event": "of 0.1.0", "node": "a", "fields": '{"loss": NaN, "text": "\\ud800"}'},
    {"level": "warn", "event": "of another", "node": "", "fields": "{}"},
    {"level": "info", "event": b"\xff\xfe", "node": b"\xff", "fields": "{}"},
    {"x": "y"},
    {"level": "info", "event": "no fields", "node": ""},
    {"level": "info", "event": "not JSON", "node": "", "fields": "{"},
    {"level": "info", "event": "not UTF-8", "node": "", "fields": b"\xff"},
    {"level": "info", "event": "a list", "node": "", "fields": "[1]"},
    {"level": "info", "event": "deep", "node": "", "fields": "[" * 50_000},
    {"level": "info", "event": "separators", "node": "", "fields": json.dumps({"a": "\u2028\x85\r\n\x1b"})},
]


def strictly(text: str) -> Any:
    def refuse(word: str) -> Any:
        raise AssertionError(word)

    value = json.loads(text, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value


def submit(api: TestClient, nodes: dict[str, Any]) -> str:
    answer = api.post("/jobs", json=spec(nodes))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize("agent", ["careless", pytest.param("heavy_careless", marks=pytest.mark.slow)])
def test_what_an_agent_says_and_returns_is_kept_and_shown(
    api: TestClient, parts: Parts, drain: Callable[[], None], agent: str
) -> None:
    job_id = submit(api, {"a": {"agent": agent}, "b": {"agent": agent, "needs": ["a"]}})
    drain()
    job = strictly(api.get(f"/jobs/{job_id}").text)
    records = {record["event"]: record for record in strictly(api.get(f"/jobs/{job_id}/logs").text)["records"]}

    assert job["status"] == "completed", job
    # The second node has read the first one's figures as the numbers they are.
    assert job["nodes"]["b"]["output"]["figures"] == {"f1": "NaN", "loss": "Infinity", "rows": 3.0}
    assert job["nodes"]["b"]["output"]["anything"] == ["half \ufffd", None]
    assert (job["nodes"]["a"]["progress"]["done"], job["nodes"]["a"]["progress"]["total"]) == (1, 2)
    assert records["diverged"]["level"] == "warning"
    assert records["diverged"]["fields"]["loss"] == "NaN"
    assert records["diverged"]["fields"]["half \ufffd"] == [1, 2]
    assert records["diverged"]["fields"]["adjusted"] == {"replaced": 4, "level": "warn"}
    assert (records["loud"]["level"], records["loud"]["fields"]["adjusted"]) == ("info", {"cut": 1, "level": "shout"})
    assert records["output_adjusted"]["fields"]["replaced"] == 3
    assert "NaN" not in json.dumps(
        [strictly(value.decode()) for value in parts.connection.hvals(keys.outputs(job_id))]
    ).replace('"NaN"', "")


@pytest.mark.parametrize("agent", ["careless", pytest.param("heavy_careless", marks=pytest.mark.slow)])
def test_an_error_of_any_characters_is_kept_within_bounds(
    api: TestClient, drain: Callable[[], None], agent: str
) -> None:
    job_id = submit(api, {"a": {"agent": agent, "config": {"fail": True}}})
    drain()
    error = strictly(api.get(f"/jobs/{job_id}").text)["nodes"]["a"]["error"]

    assert error["error"] == "INVALID_DATA"
    assert error["message"].startswith("Row 3: half \ufffd yyy")
    assert len(error["message"]) < 10_000
    assert error["details"] == [{"path": "3", "message": "half \ufffd", "seen": [1]}]


def test_an_output_that_is_too_large_is_refused_with_its_cure(api: TestClient, drain: Callable[[], None]) -> None:
    job_id = submit(api, {"a": {"agent": "careless", "config": {"size": 2_000_000}}})
    drain()
    error = api.get(f"/jobs/{job_id}").json()["nodes"]["a"]["error"]

    assert error["error"] == "AGENT_FAILED"
    assert "more than the 1,048,576 that an output may have" in error["message"]
    assert "put_json" in error["message"]


def strike(parts: Parts, job_id: str) -> None:
    """Put odd entries into a job's stream."""
    for entry in ENTRIES:
        parts.connection.xadd(keys.log(job_id), entry)


def test_a_follower_goes_on_over_entries_that_nobody_can_read(
    api: TestClient, sdk: Client, parts: Parts, drain: Callable[[], None]
) -> None:
    job_id = submit(api, {"a": {"agent": "echo"}})
    strike(parts, job_id)
    drain()
    live = list(sdk.follow(job_id))
    history = list(sdk.logs(job_id))
    parts.logs.archive(job_id)
    parts.logs.drop_live(job_id)
    archived = list(sdk.follow(job_id))
    events = [record["event"] for record in live]

    assert live == history == archived
    assert events.count(UNREADABLE) == 6
    assert all(record["fields"]["reason"] for record in live if record["event"] == UNREADABLE)
    assert events[-1] == "job_completed"
    found = {record["event"]: record for record in live}
    assert found["of 0.1.0"]["fields"] == {"loss": "NaN", "text": "\ufffd", "adjusted": {"replaced": 2}}
    assert found["of another"]["level"] == "warning"
    assert found["separators"]["fields"]["a"] == "\u2028\x85\r\n\x1b"
    assert UNREADABLE in [record["event"] for record in sdk.logs(job_id, level="error", node="a")]


def test_an_archive_that_somebody_changed_is_read_on(
    api: TestClient, sdk: Client, parts: Parts, drain: Callable[[], None]
) -> None:
    job_id = submit(api, {"a": {"agent": "echo"}})
    drain()
    parts.logs.archive(job_id)
    whole = list(sdk.logs(job_id))
    lines = parts.objects.get(bucket.archived_log(job_id)).split(b"\n")
    odd = [b"{", *lines[:2], b"\xff\xff", b"[]", b'{"id": "x"}', *lines[2:], b'{"id": NaN}', b""]
    parts.objects.put(bucket.archived_log(job_id), b"\n".join(odd), "application/x-ndjson")
    parts.logs.drop_live(job_id)
    found = list(sdk.follow(job_id))

    assert [record for record in found if record["event"] != UNREADABLE] == whole
    assert sum(record["event"] == UNREADABLE for record in found) == 6


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entry=st.dictionaries(
        st.sampled_from([b"level", b"event", b"node", b"fields", b"more"]), st.binary(max_size=40), min_size=1
    )
)
def test_no_entry_of_a_stream_breaks_its_readers(api: TestClient, parts: Parts, entry: dict[bytes, bytes]) -> None:
    job_id = "job_struck"
    if not parts.connection.exists(keys.state(job_id)):
        parts.connection.hset(keys.state(job_id), "head", json.dumps({"status": "completed"}))
    parts.connection.xadd(keys.log(job_id), entry, maxlen=5)
    answer = api.get(f"/jobs/{job_id}/logs")
    stream = api.get(f"/jobs/{job_id}/logs/stream")

    assert answer.status_code == 200
    assert strictly(answer.text)["records"]
    assert "event: end" in stream.text


def test_a_node_whose_state_can_not_be_read_says_so(api: TestClient, parts: Parts, drain: Callable[[], None]) -> None:
    job_id = submit(api, {name: {"agent": "echo"} for name in ("a", "b", "c")})
    drain()
    for name, written in (("node:a", "{"), ("node:b", '{"status": "odd"}')):
        parts.connection.hset(keys.state(job_id), name, written)
    parts.connection.hset(keys.progress(job_id), "a", '{"done": "x"}')
    parts.connection.hset(keys.progress(job_id), "b", "{")
    parts.connection.hset(keys.outputs(job_id), "b", "[NaN]")
    nodes = strictly(api.get(f"/jobs/{job_id}").text)["nodes"]

    assert [nodes[name]["error"]["error"] for name in ("a", "b")] == ["CORRUPT_ARTIFACT"] * 2
    assert (nodes["c"]["output"]["said"], nodes["b"]["output"], nodes["a"]["progress"]) == ("hello", None, None)


def test_a_job_whose_head_can_not_be_read_hides_no_other(api: TestClient, parts: Parts) -> None:
    good, bad = (submit(api, {"a": {"agent": "echo"}}) for _ in range(2))
    parts.connection.hset(keys.state(bad), "head", '{"status": 3, "more": 1}')

    assert [job["id"] for job in api.get("/jobs").json()["jobs"]] == [good]
    assert [job["id"] for job in api.get("/jobs?status=queued").json()["jobs"]] == [good]
    assert api.get(f"/jobs/{bad}").status_code == 200
    assert parts.housekeeper.find().jobs == ()


def test_models_with_figures_that_are_none_and_moves_that_nobody_can_read_are_listed(
    api: TestClient, parts: Parts
) -> None:
    manifest = {"name": "m", "version": 1, "task": "classification", "verdict": "PROMOTE", "formats": {}}
    figures = {"f1": float("nan"), "loss": float("inf"), "recall": 0.5}
    key = bucket.version_manifest("m", 1)
    parts.objects.put(key, json.dumps({**manifest, "metrics": figures}).encode(), "application/json")
    parts.connection.sadd(keys.MODELS, "m", b"\xff", "a:b", "gone")
    parts.connection.hset(keys.versions("m"), mapping={"1": key, "x": key})
    parts.connection.hset(keys.aliases("m"), mapping={"champion": 1, "odd": "x", b"\xff": "y"})
    moves = (b"{", b"[]", b"\xff", b'{"version": "x"}', json.dumps({"version": 1, "at": 1.0, "why": "w" * 30_000}))
    parts.connection.rpush(keys.history("m"), *moves)
    models = {model["name"]: model for model in strictly(api.get("/models").text)["models"]}

    assert sorted(models) == ["gone", "m"]
    assert models["m"]["versions"][0]["metrics"] == {"recall": 0.5}
    assert models["m"]["aliases"] == {"champion": 1}
    assert [len(move["why"]) for move in models["m"]["history"]] == [1200]
    assert models["gone"]["versions"] == []
    assert strictly(api.get("/models/m/champion").text)["metrics"] == {"recall": 0.5}
    assert parts.registry.promote("m", 1, at=2.0, reason="again") == {"champion": 1}
