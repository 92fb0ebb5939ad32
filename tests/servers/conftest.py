"""Parts of the engine on real servers, and a worker that runs in the test's own process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from agents.base.object_store import ObjectStore
from agents.preprocessing.types import PreprocessingOutput
from agents.training.types import TrainingOutput
from app.processes.embedded import Server
from app.settings import Settings
from app.wiring import Parts, build_parts
from pipelines.engine.state.job import Job
from tests.conftest import AgentBench, new_bucket
from tests.support.agents import NAMES, TEST_AGENTS
from tests.support.decoders import prepare_answers, write_tiny_decoder
from tests.support.door import write_token
from tests.support.in_process import InProcessWorker
from tests.support.served import put_versions, write_merged


@pytest.fixture
def settings(
    valkey_server: Server,
    objects: ObjectStore,
    connection: redis.Redis,
    tmp_path: Path,
    models_dir: Path,
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
        "DATA_ROOTS": f"{tmp_path}:{models_dir}",
        "AGENTS": ",".join(f"{name}={TEST_AGENTS[name].path}" for name in NAMES),
        "LEASE_TTL_S": "1.0",
        "LEASE_RENEW_S": "0.1",
        "SWEEP_INTERVAL_S": "0.1",
        "STOP_GRACE_S": "1.0",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"TUNELINE_{name}", value)
    write_token(tmp_path / "state")
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


@dataclass(frozen=True)
class Learned:
    """A decoder of `tests/support/decoders.py` that has learned the commonest answer, whole, in a bucket of its own."""

    decoder: Path
    objects: ObjectStore
    data: PreprocessingOutput
    training: TrainingOutput

    def bench(self, work_dir: Path) -> AgentBench:
        """Return a bench over its bucket, to go on from what was trained."""
        return AgentBench(self.objects, work_dir, (self.decoder.parent,))


@pytest.fixture(scope="session")
def learned(s3_server: Server, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """Trained once for all who evaluate, compare or export it."""
    from agents.training import TrainingAgent
    from agents.training.types import TrainingConfig

    decoder, objects = write_tiny_decoder(models_dir / "learning", width=64), new_bucket(s3_server)
    bench = AgentBench(objects, tmp_path_factory.mktemp("learned"), (models_dir,))
    data = prepare_answers(bench, decoder, 80, template="chatml")
    config = TrainingConfig(
        task="sft", model=str(decoder), method="full", batch_size=16, metric="exact_match", epochs=9, learning_rate=0.01
    )
    training = TrainingAgent().run(config, bench.context("training", {"preprocessing": data}))
    return Learned(decoder, objects, data, training)


RunJob = Callable[..., Job]


@pytest.fixture
def own_worker(parts: Parts) -> InProcessWorker:
    """Return a worker in this process."""
    return InProcessWorker(build_parts(parts.settings, patient=True))


@pytest.fixture
def drain(own_worker: InProcessWorker) -> Callable[[], None]:
    """Return a function that works off the queue `default` in this process."""
    return lambda: own_worker.work_off(["default"])


@pytest.fixture
def run_job(parts: Parts, drain: Callable[[], None]) -> RunJob:
    """Return a function that submits nodes and works them off, due retries too; it gives the job."""

    def run(nodes: dict[str, Any], overrides: dict[str, Any] | None = None, **fields: Any) -> Job:
        job_id = parts.orchestrator.submit({"name": "test", "nodes": nodes, **fields}, overrides or {})
        drain()
        return parts.state.job(job_id)

    return run
