"""What is invented and left behind is gone again, and what is large comes in pages."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.client import Client
from app.doctor.queues import judge_queues, queues
from app.settings import Settings
from app.wiring import Parts, build_parts
from pipelines.engine.orchestrator import QUEUES_MOST
from pipelines.engine.state import job_reader, keys, log_records
from pipelines.engine.state.message_loop import run_worker
from pipelines.engine.state.registration import Registration
from pipelines.engine.upkeep.housekeeping import Garbage
from pipelines.engine.worker.slot import AttemptSlot
from tests.support.agents import echo, spec

OWN = ["default", "training", "evaluation", "serving"]


def submit(api: TestClient, nodes: dict[str, Any], **headers: str) -> str:
    answer = api.post("/jobs", json=spec(nodes), headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def listed(api: TestClient) -> list[str]:
    return [queue["name"] for queue in api.get("/queues").json()["queues"]]


def test_a_queue_is_listed_while_it_has_messages_or_workers(api: TestClient, parts: Parts, settings: Settings) -> None:
    job_id = submit(api, {f"n{number}": echo(queue=f"invented-{number}") for number in range(3)})
    assert listed(api) == [*OWN, "invented-0", "invented-1", "invented-2"]
    assert 'tuneline_queue_messages{queue="invented-0"} 1.0' in api.get("/metrics").text
    api.delete(f"/jobs/{job_id}")

    assert listed(api) == OWN
    assert "invented" not in api.get("/metrics").text
    build_parts(settings).sweeper.sweep()
    assert parts.state.queues.names() == []
    submit(api, {"a": echo(queue="invented-0")})
    assert listed(api) == [*OWN, "invented-0"]


def test_names_of_queues_are_bounded(api: TestClient) -> None:
    for start in range(0, QUEUES_MOST, 50):
        submit(api, {f"n{number}": echo(queue=f"q{number}") for number in range(start, start + 50)})
    for nodes in ({"a": echo(queue="one-more")}, {f"n{number}": echo(queue=f"p{number}") for number in range(200)}):
        answer = api.post("/jobs", json=spec(nodes))
        assert (answer.status_code, answer.json()["error"]) == (409, "CONFLICT")
        assert "start workers for those that wait" in answer.json()["message"]
    submit(api, {"a": echo(queue="q7"), "b": echo()})

    assert len(listed(api)) == QUEUES_MOST + len(OWN)


def test_queues_that_emptied_make_room_at_once(api: TestClient) -> None:
    jobs = [
        submit(api, {f"n{number}": echo(queue=f"q{number}") for number in range(start, start + 50)})
        for start in range(0, QUEUES_MOST, 50)
    ]
    api.delete(f"/jobs/{jobs[0]}")
    submit(api, {"a": echo(queue="one-more")})

    assert "one-more" in listed(api)


def test_a_node_that_no_worker_will_take_says_so_with_the_cure(
    api: TestClient, parts: Parts, settings: Settings
) -> None:
    job_id = submit(api, {"a": echo(queue="q-0")})
    waits = api.get(f"/jobs/{job_id}").json()["nodes"]["a"]["waits_for"]
    finding = queues(settings)[0]
    seen: list[str] = []
    runner = parts.runner("worker-of-the-test", AttemptSlot())
    registration = Registration(parts.connection, "worker-of-the-test", ["q-0"])

    def handle(message: Any) -> bool:
        second = submit(api, {"b": echo(queue="q-0")})
        seen.append(api.get(f"/jobs/{second}").json()["nodes"]["b"]["waits_for"])
        api.delete(f"/jobs/{second}")
        return runner.run(message)

    registration.beat()
    run_worker(["q-0"], parts.connection, handle, runner.shut_down, burst=True)
    registration.leave()

    assert waits == "a worker: none listens on queue 'q-0'. Start one: tuneline worker --queue q-0"
    assert finding.found == "messages wait where no worker listens: 1 on 'q-0'"
    assert finding.cure == "Start workers for them: tuneline worker --queue q-0."
    assert seen == ["a free worker on queue 'q-0'"]
    assert api.get(f"/jobs/{job_id}").json()["status"] == "completed"
    assert judge_queues(parts.fleet.queues(OWN)).found == "workers listen on 0 of 4"


def test_what_other_programs_put_among_the_queues_breaks_no_list(api: TestClient, parts: Parts) -> None:
    parts.connection.sadd("rq:queues", "other", b"rq:queue:\xff", "rq:queue:a b", "rq:queue:text")
    parts.connection.set("rq:queue:text", "not a list")
    parts.connection.sadd("rq:workers", "rq:worker:gone")

    assert api.get("/queues").status_code == 200
    parts.state.queues.forget_empty()
    assert listed(api) == OWN


def test_an_idempotency_key_of_a_job_that_was_collected_is_free_again(
    api: TestClient, parts: Parts, drain: Callable[[], None]
) -> None:
    first = submit(api, {"a": echo()}, **{"Idempotency-Key": "k"})
    assert submit(api, {"a": echo()}, **{"Idempotency-Key": "k"}) == first
    drain()
    parts.housekeeper.remove(Garbage(jobs=(first,)))
    second = submit(api, {"a": echo(config={"say": "other"})}, **{"Idempotency-Key": "k"})

    assert second != first
    assert submit(api, {"a": echo(config={"say": "other"})}, **{"Idempotency-Key": "k"}) == second
    assert api.post("/jobs", json=spec({"a": echo()}), headers={"Idempotency-Key": "k"}).status_code == 409


def test_two_submits_with_the_key_of_a_collected_job_make_one(
    api: TestClient, parts: Parts, drain: Callable[[], None]
) -> None:
    first = submit(api, {"a": echo()}, **{"Idempotency-Key": "k"})
    drain()
    parts.housekeeper.remove(Garbage(jobs=(first,)))
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(parts.orchestrator.submit(spec({"a": echo()}), {}, "k")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_job_of_many_nodes_is_shown_in_pages(api: TestClient, sdk: Client) -> None:
    nodes = {"first": echo(), **{f"n{number}": echo("first") for number in range(1500)}}
    nodes["last"] = echo(*(name for name in nodes if name != "first"))
    answer = api.post("/jobs", json=spec(nodes))
    job_id = answer.json()["id"]
    page = api.get(f"/jobs/{job_id}", params={"nodes_offset": 1100, "nodes_limit": 200}).json()["nodes"]
    whole = sdk.job(job_id)["nodes"]

    assert (len(answer.json()["nodes"]), answer.json()["nodes_total"]) == (1000, 1502)
    assert len(api.get(f"/jobs/{job_id}").json()["nodes"]) == 1000
    assert list(page) == list(whole)[1100:1300]
    assert list(whole)[:2] == ["first", "n0"]
    assert len(whole) == 1502
    assert whole["n7"]["waits_for"] == "needs first"
    assert whole["last"]["waits_for"].endswith("and 1,490 more")
    assert api.get(f"/jobs/{job_id}", params={"nodes_offset": 9999}).json()["nodes"] == {}
    assert api.get(f"/jobs/{job_id}", params={"nodes_limit": 1001}).status_code == 422


def test_large_outputs_shorten_a_page_and_not_the_job(
    api: TestClient, sdk: Client, drain: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(api, {f"n{number}": echo(config={"say": "x" * 2000}) for number in range(6)})
    drain()
    monkeypatch.setattr(job_reader, "SHOWN_MOST_BYTES", 5000)

    assert len(api.get(f"/jobs/{job_id}").json()["nodes"]) == 2
    assert len(sdk.job(job_id)["nodes"]) == 6


def test_large_records_shorten_a_page_and_not_the_log(
    api: TestClient, sdk: Client, drain: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(api, {f"n{number}": echo(config={"say": "x" * 2000}, cache=False) for number in range(6)})
    drain()
    whole = api.get(f"/jobs/{job_id}/logs").json()
    monkeypatch.setattr(log_records, "PAGE_MOST_BYTES", 5000)
    page = api.get(f"/jobs/{job_id}/logs").json()

    assert (whole["ended"], page["ended"]) == (True, False)
    assert 0 < len(page["records"]) < len(whole["records"])
    assert page["next"] == page["records"][-1]["id"]
    assert list(sdk.logs(job_id)) == whole["records"]


def test_what_nothing_owns_in_redis_is_collected(api: TestClient, parts: Parts) -> None:
    submit(api, {"a": echo(queue="q-0")})
    for queue in ("training", "q-0"):
        api.put(f"/queues/{queue}", json={"workers": 2})
    parts.connection.hset(keys.FLEET, mapping={"gone": 3, b"\xff": 1})
    parts.connection.hset(keys.device("gpu-1"), mapping={"job_x-0-1": "{}", "job_y-0-1": "{}"})
    parts.connection.zadd(keys.LEASES, {"job_y-0-1": 9e12})
    found = parts.housekeeper.find()
    parts.housekeeper.remove(found)

    assert {field for _, field in found.leftovers} == {b"gone", b"\xff", b"job_x-0-1"}
    assert parts.fleet.wanted() == {"training": 2, "q-0": 2}
    assert parts.connection.hkeys(keys.device("gpu-1")) == [b"job_y-0-1"]
