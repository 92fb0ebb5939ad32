"""Agents run in this process, one after another, on an S3 server of their own: no queue, no worker."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents import AGENTS, load_agent
from agents.base.object_store import ObjectStore
from agents.base.records import Input, Output
from agents.base.sources import Sources
from app.processes.embedded import start_s3
from pipelines.engine.worker.context import AttemptContext


@dataclass
class LocalAgents:
    """Runs agents by name; `records` is all that they said, `seconds` how long each took at its last run."""

    objects: ObjectStore
    folder: Path
    roots: tuple[Path, ...]
    records: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    runs: int = 0
    emit: Callable[[dict[str, Any]], None] | None = None
    """What is called with each record; by default they are kept."""

    def model_path(self, uri: str) -> Path:
        return self._sources().local(uri, "model")

    def _sources(self) -> Sources:
        return Sources(self.objects, self.roots, self.folder / "cache")

    def run(self, agent: str, config: Mapping[str, Any], inputs: Mapping[str, Output]) -> Any:
        """Return the output of one run; `inputs`: agent name -> its output."""
        agent_type = load_agent(AGENTS[agent].path)
        self.runs += 1
        context = AttemptContext(
            job_id=f"job_{self.runs}",
            pipeline="benchmark",
            node=agent,
            attempt=1,
            inputs=tuple(
                Input(node=name, agent=name, output=one.model_dump(mode="json")) for name, one in inputs.items()
            ),
            objects=self.objects,
            sources=self._sources(),
            work_path=self.folder / f"run_{self.runs}",
            emit=self.emit or self.records.append,
            checkpoint_prefixes=(f"checkpoints/job_{self.runs}/{agent}",),
        )
        started = time.perf_counter()
        output = agent_type().run(agent_type.config_type.model_validate(config), context)
        self.seconds[agent] = time.perf_counter() - started
        return output


@contextmanager
def local_agents(*roots: Path) -> Iterator[LocalAgents]:
    """Start a store in a temporary folder; sources may be paths below `roots`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = start_s3(folder / "s3", "benchmark", "benchmark-secret")
        try:
            objects = ObjectStore(f"http://127.0.0.1:{server.port}", "benchmark", "benchmark-secret", "benchmark")
            objects.create_bucket()
            yield LocalAgents(objects, folder, (folder, Path.cwd(), *roots))
        finally:
            server.stop()
