"""RQ runs our one handler and nothing else: what anybody else puts into a queue is set aside, and work goes on."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from rq import Callback, Queue
from rq.job import Dependency, Retry
from rq.serializers import JSONSerializer

from app.api.main import create_app
from app.wiring import Parts
from pipelines.engine.state import keys
from pipelines.engine.state.set_aside import MESSAGES_KEPT_S, MESSAGES_MOST, give_back
from tests.support.agents import echo, spec
from tests.support.in_process import InProcessWorker

QUEUE = "rq:queue:default"
Put = Callable[[Parts, Path], None]


class Runs:
    """Unpickling it runs a command."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> Any:
        return os.system, (self._command,)


def queue_of(parts: Parts, serializer: Any = JSONSerializer) -> Queue:
    return Queue("default", connection=parts.connection, serializer=serializer)


def touch(marker: Path) -> str:
    return f"touch {marker}"


def pickled(parts: Parts, marker: Path) -> None:
    queue_of(parts, "pickle").enqueue("os.system", touch(marker))


def pickled_program(parts: Parts, marker: Path) -> None:
    job = queue_of(parts).enqueue("mails.send", "x")
    parts.connection.hset(job.key, "data", pickle.dumps(Runs(touch(marker))))


def pickled_meta(parts: Parts, marker: Path) -> None:
    job = queue_of(parts).enqueue("mails.send", "x")
    program = pickle.dumps(Runs(touch(marker)))
    parts.connection.hset(job.key, mapping={"meta": program, "result": program, "ttl": "never"})


def as_json(parts: Parts, marker: Path) -> None:
    queue_of(parts).enqueue("os.system", touch(marker))


def with_callbacks(parts: Parts, marker: Path) -> None:
    calls = {name: Callback("os.system") for name in ("on_success", "on_failure", "on_stopped")}
    queue_of(parts).enqueue("subprocess.getoutput", touch(marker), **calls, retry=Retry(3), job_timeout=1)


def after_another(parts: Parts, marker: Path) -> None:
    first = queue_of(parts).enqueue("os.system", touch(marker))
    queue_of(parts).enqueue("os.system", touch(marker), depends_on=Dependency([first], allow_failure=True))


def without_a_job(parts: Parts, marker: Path) -> None:
    parts.connection.rpush(QUEUE, "somebody")


def garbage(parts: Parts, marker: Path) -> None:
    parts.connection.rpush(QUEUE, b"\xff\xfe\x00", b"", b"x" * 100_000, "a b", "../..", "job_1-0-1:x")


def of_another_type(parts: Parts, marker: Path) -> None:
    parts.connection.rpush("rq:job:odd", "not a hash")
    parts.connection.rpush(QUEUE, "odd")


def with_odd_fields(parts: Parts, marker: Path) -> None:
    odd = {"data": "[]", "timeout": "never", "status": "unheard of", "dependency_ids": "{", "created_at": "noon"}
    parts.connection.hset("rq:job:odd", mapping=odd)
    parts.connection.rpush(QUEUE, "odd")


def with_our_path(parts: Parts, marker: Path) -> None:
    queue_of(parts).enqueue("app.worker.handle", {"job": "job_1", "command": touch(marker)})


FOREIGN: list[Put] = [
    *(pickled, pickled_program, pickled_meta, as_json, with_callbacks, after_another),
    *(without_a_job, garbage, of_another_type, with_odd_fields, with_our_path),
]


@pytest.mark.parametrize("put", FOREIGN, ids=lambda put: put.__name__)
@pytest.mark.parametrize("queues", [["default"], ["default", "training"]], ids=["one queue", "two queues"])
def test_a_foreign_message_is_set_aside_and_work_goes_on(
    parts: Parts, own_worker: InProcessWorker, tmp_path: Path, put: Put, queues: list[str]
) -> None:
    marker = tmp_path / "ran"
    put(parts, marker)
    there = parts.connection.llen(QUEUE)
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    with structlog.testing.capture_logs() as logs:
        own_worker.work_off(queues)
    health = TestClient(create_app(parts)).get("/health").json()

    assert parts.state.head(job_id).status == "completed"
    assert not marker.exists()
    assert [record["event"] for record in logs].count("foreign_message") == there
    assert health["status"] == "degraded"
    assert [each["source"] for each in health["set_aside"]] == [QUEUE] * there
    assert all(each["reason"].startswith("It is not a message of Tuneline: ") for each in health["set_aside"])
    assert parts.connection.llen(QUEUE) == parts.connection.llen(f"{QUEUE}:intermediate") == 0


def test_what_the_sentence_says_puts_it_back_for_whom_it_belongs_to(parts: Parts, drain: Callable[[], None]) -> None:
    theirs = queue_of(parts).enqueue("mails.send", "x")
    before = parts.connection.hgetall(theirs.key)
    drain()
    (aside,) = parts.fleet.set_aside()
    (command,) = [part for part in aside.reason.split("`") if part.startswith("RPUSH")]
    parts.connection.execute_command(*command.replace("<entry>", aside.entry).split())

    assert "it calls 'mails.send'" in aside.reason
    assert queue_of(parts).job_ids == [theirs.id]
    assert parts.connection.hgetall(theirs.key) == before


def test_our_message_with_callbacks_and_a_time_limit_runs_our_handler_alone(
    parts: Parts, drain: Callable[[], None], tmp_path: Path
) -> None:
    job_id = parts.orchestrator.submit(spec({"a": echo()}), {})
    (message_id,) = queue_of(parts).job_ids
    named = {f"{kind}_callback_name": "tests.nowhere.call" for kind in ("success", "failure", "stopped")}
    parts.connection.hset(f"rq:job:{message_id}", mapping={**named, "timeout": "1", "dependency_ids": '["other"]'})
    drain()

    assert parts.state.head(job_id).status == "completed"
    assert parts.connection.hlen(keys.SET_ASIDE) == 0


@pytest.mark.parametrize("job", ["job_nowhere", "x" * 6000])
def test_a_forged_attempt_of_no_job_is_refused(parts: Parts, drain: Callable[[], None], job: str) -> None:
    message = {"job": job, "node": "a", "attempt": 1, "agent": "echo", "config": {}, "inputs": []}
    queue_of(parts).enqueue("app.worker.handle", message)
    drain()

    assert parts.connection.keys("rq:job:*") == []
    assert parts.connection.llen(f"{QUEUE}:intermediate") == 0


def test_a_flood_is_bounded_and_forgotten(parts: Parts, drain: Callable[[], None]) -> None:
    parts.connection.rpush(QUEUE, *(f"mail {number}" for number in range(MESSAGES_MOST + 50)))
    drain()
    assert parts.connection.llen(QUEUE) == 0
    assert len(parts.fleet.set_aside()) == MESSAGES_MOST

    assert give_back(parts.connection) == 0
    assert parts.connection.hlen(keys.SET_ASIDE) == MESSAGES_MOST
    for name, value in parts.connection.hgetall(keys.SET_ASIDE).items():
        old = json.loads(value)
        parts.connection.hset(keys.SET_ASIDE, name, json.dumps({**old, "at": old["at"] - MESSAGES_KEPT_S - 10}))
    give_back(parts.connection)
    assert parts.connection.hlen(keys.SET_ASIDE) == parts.connection.llen(QUEUE) == 0
