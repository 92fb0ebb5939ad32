"""The API over real parts: answers, errors, and the log contract of its event stream."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from agents.base import bucket
from app.api.main import create_app
from app.settings import Settings
from app.wiring import Parts, build_parts
from pipelines.engine.state import keys
from tests.support.agents import echo, spec

Http = httpx.Client


@pytest.fixture
def api(parts: Parts) -> Iterator[Http]:
    with TestClient(create_app(parts), raise_server_exceptions=False) as client:
        yield client


def submit(api: Http, nodes: dict[str, Any], **fields: Any) -> str:
    answer = api.post("/jobs", json=spec(nodes, **fields))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def stream(api: Http, job_id: str, **fields: Any) -> list[dict[str, Any]]:
    """Read an event stream to its end: `{"event", "id", "data"}`."""
    found: list[dict[str, Any]] = []
    with api.stream("GET", f"/jobs/{job_id}/logs/stream", **fields) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        event: dict[str, Any] = {}
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                event[name] = json.loads(value) if name == "data" else value
            elif event:
                found.append(event)
                event = {}
    return found


def test_a_job_is_shown_node_by_node_with_reasons_and_sources(api: Http, drain: Callable[[], None]) -> None:
    job_id = submit(api, {"a": echo(config={"say": "x"}), "b": echo("a")})
    before = api.get(f"/jobs/{job_id}").json()
    assert (
        before["nodes"]["a"]["waits_for"]
        == "a worker: none listens on queue 'default'. Start one: tuneline worker --queue default"
    )
    assert before["nodes"]["b"]["waits_for"] == "needs a"
    assert before["nodes"]["a"]["sources"] == {"say": "spec", "level": "default"}
    drain()
    after = api.get(f"/api/v1/jobs/{job_id}").json()

    assert (after["status"], after["nodes_done"]) == ("completed", 2)
    assert after["nodes"]["b"]["output"]["heard"] == ["x"]
    assert after["nodes"]["a"]["progress"]["done"] == 1
    assert after["nodes"]["a"]["cache"] == {"hit": False, "reason": "first run of this node"}


def test_specs_come_as_json_or_yaml_with_or_without_params(api: Http) -> None:
    text = "name: test\nparams: {say: x}\nnodes:\n  a: {agent: echo, config: {say: '${params.say}'}}\n"

    plain = api.post("/jobs", content=text, headers={"Content-Type": "application/yaml"})
    wrapped = api.post("/jobs", json={"spec": text, "params": {"say": "y"}})

    assert plain.json()["nodes"]["a"]["config"]["say"] == "x"
    assert wrapped.json()["nodes"]["a"]["config"]["say"] == "y"
    assert wrapped.json()["param_sources"] == {"say": "request"}


def test_all_faults_of_a_spec_come_in_one_422(api: Http, parts: Parts) -> None:
    answer = api.post("/jobs", json=spec({"a": {"agent": "x"}, "b": echo("nobody"), "c": echo(config={"level": "1"})}))

    assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_SPEC")
    assert [fault["path"] for fault in answer.json()["details"]] == [
        "nodes.b.needs[0]",
        "nodes.a.agent",
        "nodes.c.config.level",
    ]
    assert parts.connection.zcard(keys.JOBS) == 0


@pytest.mark.parametrize(
    "body",
    [
        *("{", "a: [", "- x", "", "\x00", '{"spec": {}, "parms": {}}', '{"spec": 3, "params": 3}'),
        *("[" * 100_000, '{"nodes": {"\\ud800": {}}}', "name: x\nnodes: &all {a: {agent: echo, config: *all}}"),
        *("name: x\nnodes: {a: {agent: echo, config: {level: .inf}}}", "name: x\nname: y\nnodes: {a: {agent: echo}}"),
    ],
)
def test_bodies_that_are_no_spec_get_one_clear_error(api: Http, body: str) -> None:
    answer = api.post("/jobs", content=body, headers={"Content-Type": "application/yaml"})

    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "message", "details"}


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/jobs/job_x"),
        ("DELETE", "/jobs/job_x"),
        ("POST", "/jobs/job_x/pause"),
        ("POST", "/jobs/job_x/retry"),
        ("GET", "/jobs/job_x/logs"),
        ("GET", "/jobs/job_x/logs/stream"),
        ("GET", "/models/nobody"),
        ("GET", "/models/nobody/champion/card"),
        ("GET", "/datasets/0123456789abcdef"),
        ("GET", "/datasets/..%2f..%2fsecrets"),
        ("GET", "/nowhere"),
    ],
)
def test_what_does_not_exist_is_404_in_the_one_error_shape(api: Http, method: str, url: str) -> None:
    answer = api.request(method, url)

    assert answer.status_code == 404
    assert answer.json()["error"] == "NOT_FOUND"
    assert set(answer.json()) == {"error", "message", "details"}


def test_an_idempotency_key_makes_one_job(api: Http) -> None:
    answers = [api.post("/jobs", json=spec({"a": echo()}), headers={"Idempotency-Key": "k"}) for _ in range(3)]

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert api.get("/jobs").json()["total"] == 1


def test_cancel_ends_a_waiting_job_and_ended_jobs_stay(api: Http) -> None:
    job_id = submit(api, {"a": echo()})

    assert api.delete(f"/jobs/{job_id}").json()["status"] == "cancelled"
    again = api.delete(f"/jobs/{job_id}")
    assert (again.status_code, again.json()["error"]) == (409, "CONFLICT")
    assert api.get("/jobs", params={"status": "cancelled"}).json()["total"] == 1


def test_pause_resume_and_retry_over_http(api: Http, drain: Callable[[], None]) -> None:
    job_id = submit(api, {"a": echo(), "b": {"agent": "fail", "needs": ["a"]}})
    assert api.post(f"/jobs/{job_id}/pause").json()["status"] == "paused"
    assert api.post(f"/jobs/{job_id}/resume").json()["status"] == "queued"
    drain()
    assert api.get(f"/jobs/{job_id}").json()["status"] == "failed"

    retry = api.post(f"/jobs/{job_id}/retry").json()
    assert (retry["retry_of"], retry["nodes"]["a"]["status"]) == (job_id, "cached")


def test_a_retry_with_other_values_runs_what_they_reach(api: Http, drain: Callable[[], None]) -> None:
    nodes = {"a": echo(), "b": {"agent": "fail", "needs": ["a"], "config": {"times": "${params.times}"}}}
    job_id = api.post("/jobs", json={"spec": spec(nodes, params={"times": 9}), "params": {"times": 8}}).json()["id"]
    drain()
    retry = api.post(f"/jobs/{job_id}/retry", json={"params": {"times": 0}}).json()
    assert (retry["nodes"]["a"]["status"], retry["params"]) == ("cached", {"times": 0})
    drain()
    assert api.get(f"/jobs/{retry['id']}").json()["status"] == "completed"

    # A completed job has something to do where something is different, and keeps the rest.
    other = {**spec(nodes, params={"times": 9}), "nodes": {**nodes, "c": echo("a")}}
    third = api.post(f"/jobs/{retry['id']}/retry", json={"spec": other}).json()
    assert [third["nodes"][name]["status"] for name in "abc"] == ["cached", "cached", "ready"]
    assert third["params"] == {"times": 0}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"params": {"tims": 1}}, "params.tims: no such parameter; did you mean 'times'?"),
        ({"params": {"times": "often"}}, "params.times: input should be a valid integer"),
        ({"parms": {}}, "Unknown key 'parms'"),
        ({"params": [1]}, "`params` is a mapping"),
        ([], 'The body is {"params", "spec"}'),
        ({"spec": {"name": "x"}}, "nodes: missing"),
        ({"spec": "nodes: ["}, "neither JSON nor YAML"),
    ],
)
def test_a_wrong_retry_is_refused_with_its_place(api: Http, drain: Callable[[], None], body: Any, said: str) -> None:
    nodes = {"b": {"agent": "fail", "config": {"times": "${params.times}"}}}
    job_id = api.post("/jobs", json=spec(nodes, params={"times": 9})).json()["id"]
    drain()
    answer = api.post(f"/jobs/{job_id}/retry", json=body)

    assert answer.status_code == 422
    assert said in answer.json()["message"]


# -- the log contract ---------------------------------------------------------------------------


def test_the_stream_gives_every_record_once_then_the_end(api: Http, drain: Callable[[], None], parts: Parts) -> None:
    job_id = submit(api, {"a": echo(), "b": echo("a")})
    drain()
    found = stream(api, job_id)

    ids = [entry.decode() for entry, _ in parts.connection.xrange(keys.log(job_id))]
    assert [event["id"] for event in found[:-1]] == ids
    assert {event["event"] for event in found[:-1]} == {"log"}
    assert found[-1] == {"event": "end", "data": {"status": "completed"}}


def test_a_client_that_comes_back_misses_nothing_and_sees_nothing_twice(api: Http, drain: Callable[[], None]) -> None:
    job_id = submit(api, {"a": echo(), "b": echo("a")})
    drain()
    whole = [event["id"] for event in stream(api, job_id)[:-1]]

    for seen in range(len(whole)):
        rest = stream(api, job_id, headers={"Last-Event-ID": whole[seen]})
        assert [event.get("id") for event in rest] == [*whole[seen + 1 :], None]


def test_the_archive_is_served_under_the_same_url_with_the_same_ids(
    api: Http, drain: Callable[[], None], parts: Parts
) -> None:
    job_id = submit(api, {"a": echo(), "b": echo("a")})
    drain()
    live = stream(api, job_id)
    parts.logs.drop_live(job_id)

    assert stream(api, job_id) == live
    assert stream(api, job_id, headers={"Last-Event-ID": live[2]["id"]}) == live[3:]


def test_trimmed_records_are_announced_as_a_gap(api: Http, drain: Callable[[], None], parts: Parts) -> None:
    job_id = submit(api, {"a": echo()})
    drain()
    ids = [event["id"] for event in stream(api, job_id)[:-1]]
    parts.connection.xtrim(keys.log(job_id), minid=ids[3], approximate=False)

    assert [event["event"] for event in stream(api, job_id, headers={"Last-Event-ID": ids[0]})][:2] == ["gap", "log"]
    assert stream(api, job_id, headers={"Last-Event-ID": ids[3]})[0]["event"] == "log"
    assert stream(api, job_id)[0]["event"] == "gap"


def test_history_pages_by_cursor_and_filters(api: Http, drain: Callable[[], None]) -> None:
    job_id = submit(api, {"a": echo(), "b": {"agent": "fail"}})
    drain()
    first = api.get(f"/jobs/{job_id}/logs", params={"limit": 3}).json()
    rest = api.get(f"/jobs/{job_id}/logs", params={"after": first["next"]}).json()
    whole = api.get(f"/jobs/{job_id}/logs").json()

    assert first["records"] + rest["records"] == whole["records"]
    assert (first["ended"], rest["ended"]) == (False, True)
    errors = api.get(f"/jobs/{job_id}/logs", params={"level": "error"}).json()["records"]
    assert [record["event"] for record in errors] == ["node_failed", "job_failed"]
    of_b = api.get(f"/jobs/{job_id}/logs", params={"node": "b"}).json()["records"]
    assert {record["node"] for record in of_b} == {"b"}


def test_a_cursor_that_is_none_is_refused(api: Http) -> None:
    job_id = submit(api, {"a": echo()})

    for url in (f"/jobs/{job_id}/logs?after=x", f"/jobs/{job_id}/logs/stream?after=1-x"):
        assert api.get(url).json()["error"] == "INVALID_REQUEST"


# -- data, models, fleet ------------------------------------------------------------------------


def test_an_uploaded_dataset_has_an_id_by_its_bytes(api: Http) -> None:
    files = {"file": ("rows.csv", b"text,label\nhi,ham\n")}
    first, second = (api.post("/datasets", files=files).json() for _ in range(2))

    assert first["uri"] == second["uri"] == f"dataset://{first['id']}"
    assert api.get(f"/datasets/{first['id']}").json()["filename"] == "rows.csv"
    assert len(api.get("/datasets").json()["datasets"]) == 1
    assert api.post("/datasets", files={"file": ("x.csv", b"")}).status_code == 422


def test_an_upload_over_the_limit_leaves_nothing(settings: Settings) -> None:
    parts = build_parts(settings.model_copy(update={"upload_limit_mb": 1}))
    with TestClient(create_app(parts)) as api:
        answer = api.post("/datasets", files={"file": ("big.csv", b"x" * (1 << 20) + b"y")})

    assert (answer.status_code, answer.json()["error"]) == (413, "TOO_LARGE")
    assert "TUNELINE_UPLOAD_LIMIT_MB" in answer.json()["message"]
    assert set(parts.objects.keys("")) <= {bucket.INSTALLATION}


def test_a_download_in_ranges_equals_the_whole(api: Http, parts: Parts) -> None:
    weights = parts.objects.put_artifact(bytes(range(256)) * 40)
    config = parts.objects.put_artifact(b"{}")
    files = [
        {"path": "model.safetensors", "artifact": weights.model_dump()},
        {"path": "config.json", "artifact": config.model_dump()},
    ]
    manifest = {"name": "m", "version": 1, "verdict": "PROMOTE", "metrics": {}, "formats": {"adapter": files}}
    parts.objects.put_manifest("models/m/versions/000001/manifest.json", manifest)
    parts.registry.rebuild()
    whole = api.get("/models/m/1/download?format=adapter").content

    for start, end in ((0, 511), (500, 700), (9_000, 13_000), (len(whole) - 10, len(whole) - 1)):
        part = api.get("/models/m/1/download?format=adapter", headers={"Range": f"bytes={start}-{end}"})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {start}-{min(end, len(whole) - 1)}/{len(whole)}"
        assert part.content == whole[start : end + 1]
    assert api.get("/models/m/1/download?format=gguf").json()["message"].endswith("It has: adapter.")


def test_queues_workers_and_health(api: Http) -> None:
    submit(api, {"a": echo()})
    api.put("/queues/training", json={"workers": 3})
    queues = {queue["name"]: queue for queue in api.get("/queues").json()["queues"]}

    assert queues["default"]["messages"] == 1
    assert queues["training"]["workers_wanted"] == 3
    assert api.put("/queues/training", json={"workers": -1}).status_code == 422
    for many in (33, 256):
        said = api.put("/queues/training", json={"workers": many})
        assert (said.status_code, "TUNELINE_QUEUE_WORKERS_MOST" in said.json()["message"]) == (422, True)
    assert api.put("/queues/training", json={"workers": 32}).status_code == 200
    assert api.get("/workers").json() == {"workers": [], "hosts": []}
    assert api.get("/health").json()["checks"] == {"redis": "ok", "object_store": "ok"}
    assert 'tuneline_queue_messages{queue="default"} 1.0' in api.get("/metrics").text


def test_servers_that_are_away_give_503_with_retry_after(settings: Settings) -> None:
    dead = settings.model_copy(update={"redis_url": "redis://127.0.0.1:9", "s3_endpoint_url": "http://127.0.0.1:9"})
    api = TestClient(create_app(build_parts(dead)), raise_server_exceptions=False)
    answer = api.post("/jobs", json=spec({"a": echo()}))

    assert (answer.status_code, answer.json()["error"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
    health = api.get("/health")
    assert health.status_code == 503
    assert "TUNELINE_REDIS_URL" in health.json()["checks"]["redis"]
    assert "TUNELINE_S3_ENDPOINT_URL" in health.json()["checks"]["object_store"]


def test_with_a_key_only_those_who_have_it_are_answered(settings: Settings) -> None:
    from pydantic import SecretStr

    keyed = settings.model_copy(update={"api_key": SecretStr("secret")})
    api = TestClient(create_app(build_parts(keyed)))
    del api.headers["Authorization"]

    assert api.get("/jobs").status_code == 401
    assert api.get("/jobs", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert api.get("/jobs", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert api.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (b'{"a":' + b"[" * 5000, "INVALID_REQUEST", "nested too deep"),
        (b"name: a\nname: b", "INVALID_REQUEST", "the key 'name' is there twice"),
        (b"name: .nan", "INVALID_SPEC", "nan is not a number"),
        (b'{"name": "\\ud800"}', "INVALID_SPEC", "half of a character"),
        (b"x" * ((1 << 20) + 1), "INVALID_REQUEST", "more than 1,048,576 bytes"),
    ],
)
def test_a_body_that_is_no_spec_is_one_sentence(api: Http, body: bytes, error: str, words: str) -> None:
    answer = api.post("/jobs", content=body, headers={"Content-Type": "application/yaml"})

    assert (answer.status_code, answer.json()["error"]) == (422, error)
    assert words in answer.text


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "words"),
    [
        ("GET", f"/jobs?offset={10**26}", None, 422, "query.offset"),
        ("GET", f"/models?offset={10**26}", None, 422, "query.offset"),
        ("GET", "/jobs/job_x/logs?level=loud", None, 422, "'debug', 'info', 'warning' or 'error'"),
        ("PUT", "/jobs", None, 405, "/jobs does not take PUT"),
        ("POST", "/models/m/promote", b"{", 422, "body: Not JSON, from character 1 on"),
        ("POST", "/models/m/promote", b'{"a":' + b"[" * 5000, 422, "error parsing the body"),
        (
            "PUT",
            "/queues/trainign",
            b'{"workers": 1}',
            404,
            "There is no queue 'trainign'. There are: default, training",
        ),
    ],
)
def test_odd_requests_are_refused_in_our_words(
    api: Http, method: str, path: str, content: bytes | None, status: int, words: str
) -> None:
    answer = api.request(method, path, content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message", "details"}
    assert answer.json()["error"] in {"INVALID_REQUEST", "METHOD_NOT_ALLOWED", "NOT_FOUND"}
    assert words in answer.json()["message"]
