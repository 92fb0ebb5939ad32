"""What an agent's process is told, as one JSON record over the pipe from its worker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict

from agents.base.object_store import ObjectStore
from agents.base.records import Follower, Input, Record
from agents.base.row_budget import RowBudget
from agents.base.sources import Sources
from agents.base.store_types import StoreAddress
from pipelines.engine.worker.context import AttemptContext, Emit, WantedStop


class AgentTask(Record):
    """The agent, its config, and all of its context that can be told."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    agent_path: str
    config: dict[str, Any]
    environment: dict[str, str]
    """Set before the agent imports anything."""
    store: StoreAddress
    """How to connect to the object store."""
    roots: tuple[Path, ...]
    cache_dir: Path
    private: tuple[Path, ...]
    packages: tuple[str, ...]
    rows: RowBudget
    job_id: str
    pipeline: str
    node: str
    attempt: int
    inputs: tuple[Input, ...]
    work_path: Path
    checkpoint_prefixes: tuple[str, ...]
    champion: dict[str, Any] | None
    version: int | None
    attempt_notes: dict[str, Any]
    device_mib: int | None
    followers: tuple[Follower, ...] = ()

    @classmethod
    def of(
        cls, agent_path: str, config: dict[str, Any], environment: Mapping[str, str], context: AttemptContext
    ) -> Self:
        """Return the task of running an agent in this context."""
        return cls(
            agent_path=agent_path,
            config=config,
            environment=dict(environment),
            store=context.objects.address,
            roots=context.sources.roots,
            cache_dir=context.sources.cache_dir,
            private=context.sources.private,
            packages=context.sources.packages,
            rows=context.sources.rows,
            job_id=context.job_id,
            pipeline=context.pipeline,
            node=context.node,
            attempt=context.attempt,
            inputs=context.inputs,
            work_path=context.work_path,
            checkpoint_prefixes=context.checkpoint_prefixes,
            champion=dict(context.champion) if context.champion is not None else None,
            version=context.version,
            attempt_notes=dict(context.attempt_notes),
            device_mib=context.device_mib,
            followers=context.followers,
        )

    def make_context(self, emit: Emit, wanted_stop: WantedStop) -> AttemptContext:
        """Return the same context in the agent's own process."""
        objects = ObjectStore(**self.store.model_dump())
        return AttemptContext(
            job_id=self.job_id,
            pipeline=self.pipeline,
            node=self.node,
            attempt=self.attempt,
            inputs=self.inputs,
            objects=objects,
            sources=Sources(objects, self.roots, self.cache_dir, self.private, self.packages, self.rows),
            work_path=self.work_path,
            emit=emit,
            wanted_stop=wanted_stop,
            stops_at_once=False,
            checkpoint_prefixes=self.checkpoint_prefixes,
            champion=self.champion,
            version=self.version,
            attempt_notes=self.attempt_notes,
            device_mib=self.device_mib,
            followers=self.followers,
        )
