"""`GET /health`: how servers and sweeps are, within a bound, whatever hangs."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api.main import create_app
from app.settings import Settings
from app.wiring import Parts, build_parts
from pipelines.engine.state import keys
from tests.support.valkeys import valkey


def health_of(parts: Parts) -> tuple[int, dict[str, Any]]:
    answer = TestClient(create_app(parts), raise_server_exceptions=False).get("/health")
    return answer.status_code, answer.json()


@contextmanager
def silent_server() -> Iterator[int]:
    """Listen on a port and never answer there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def hangs_fail(limit_s: int) -> Iterator[None]:
    """Fail what takes longer, by a signal: no client here would give up by itself."""

    def fail(*_: object) -> None:
        raise AssertionError(f"no answer within {limit_s} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_all_is_well(parts: Parts) -> None:
    status, health = health_of(parts)

    assert (status, health["status"], health["warnings"]) == (200, "ok", [])


def test_servers_that_hang_are_told_within_a_bound(settings: Settings, tmp_path: Path) -> None:
    with valkey(tmp_path) as server, silent_server() as port:
        change = {"redis_url": f"redis://127.0.0.1:{server.port}", "s3_endpoint_url": f"http://127.0.0.1:{port}"}
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            with hangs_fail(15):
                status, health = health_of(build_parts(settings.model_copy(update=change)))
        finally:
            os.kill(server.process.pid, signal.SIGCONT)

    assert (status, health["status"]) == (503, "unavailable")
    assert "doesn't answer" in health["checks"]["redis"]
    assert "it has been silent for 2 s" in health["checks"]["object_store"]


def test_a_bucket_that_is_gone_is_told(parts: Parts, settings: Settings) -> None:
    strayed = build_parts(settings.model_copy(update={"s3_bucket": "gone"}))
    status, health = health_of(strayed)

    assert status == 503
    assert "has no bucket 'gone'" in health["checks"]["object_store"]


@pytest.mark.parametrize(
    ("standing", "told"),
    [
        (None, "tuneline registry rebuild"),
        ({"kind": "foreign", "message": "It belongs to another.", "cure": "Set another."}, "Set another."),
    ],
)
def test_lost_data_is_a_warning(parts: Parts, standing: dict[str, str] | None, told: str) -> None:
    if standing is None:
        parts.connection.flushall()
    else:
        parts.connection.hset(keys.INSTALLATION, "standing", json.dumps(standing))
    status, health = health_of(parts)

    assert (status, health["status"]) == (200, "degraded")
    assert told in health["warnings"][0]
