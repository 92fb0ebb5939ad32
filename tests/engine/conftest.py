"""Parts of the engine on real servers, and a worker that runs in the test's own process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from agents.base.objects import ObjectStore
from app.embedded import Server
from app.settings import Settings
from app.wiring import Parts, build_parts
from pipelines.engine.job import Job
from pipelines.engine.queue import run_worker
from tests.agents import NAMES, TEST_AGENTS
from tests.engine.served import put_versions, write_merged


@pytest.fixture
def settings(
    valkey_server: Server,
    objects: ObjectStore,
    connection: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Settings for the run's servers, in the environment too, so that worker processes read the same."""
    values = {
        "REDIS_URL": f"redis://127.0.0.1:{valkey_server.port}",
        "S3_ENDPOINT_URL": objects.endpoint_url,
        "S3_ACCESS_KEY": "test-key",
        "S3_SECRET_KEY": "test-secret",
        "S3_BUCKET": objects.bucket,
        "STATE_DIR": str(tmp_path / "state"),
        "DATA_ROOTS": str(tmp_path),
        "AGENTS": ",".join(f"{name}={TEST_AGENTS[name].path}" for name in NAMES),
        "LEASE_TTL_S": "1.0",
        "LEASE_RENEW_S": "0.1",
        "SWEEP_INTERVAL_S": "0.1",
        "STOP_GRACE_S": "1.0",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"TUNELINE_{name}", value)
    return Settings(_env_file=None)


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    built = build_parts(settings)
    built.check()
    yield built
    built.connection.close()


@pytest.fixture(scope="module")
def merged_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of two whole models: version 1 says spam to everything, version 2 ham."""
    return write_merged(tmp_path_factory.mktemp("models"))


@pytest.fixture
def versions(parts: Parts, merged_folders: dict[int, Path]) -> Parts:
    """Both of them in the registry as `spam`, version 1 being champion."""
    return put_versions(parts, merged_folders)


RunJob = Callable[..., Job]


@pytest.fixture
def drain(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that works off the queue `default` in this process."""
    from app import worker

    worker._parts.cache_clear()
    worker._runner.cache_clear()
    runner = worker._runner()

    def work() -> None:
        run_worker(["default"], parts.connection, "worker-of-the-test", runner.shut_down, burst=True)

    return work


@pytest.fixture
def run_job(parts: Parts, drain: Callable[[], None]) -> RunJob:
    """Return a function that submits nodes and works them off, due retries too; it gives the job."""

    def run(nodes: dict[str, Any], overrides: dict[str, Any] | None = None, **fields: Any) -> Job:
        job_id = parts.orchestrator.submit({"name": "test", "nodes": nodes, **fields}, overrides or {})
        drain()
        return parts.state.job(job_id)

    return run
