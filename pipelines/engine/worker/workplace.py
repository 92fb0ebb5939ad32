"""What an attempt finds in its worker: the parts it works with, and the times that bound it."""

from dataclasses import dataclass
from pathlib import Path

from agents.base.object_store import ObjectStore
from agents.base.sources import Sources
from pipelines.engine.orchestrator import Orchestrator
from pipelines.engine.state.cache import StepCache
from pipelines.engine.state.logs import Logs
from pipelines.engine.state.registry import Registry
from pipelines.engine.worker.devices import DevicePool


@dataclass(frozen=True)
class Limits:
    """What bounds an attempt: times in seconds, memory, and the folder it works in."""

    lease_ttl_s: float
    lease_renew_s: float
    stop_grace_s: float
    work_root: Path
    light_memory_bytes: int
    """What a worker's process may hold while an agent runs in it."""


@dataclass(frozen=True)
class Workplace:
    """The parts of one worker process."""

    worker: str
    orchestrator: Orchestrator
    logs: Logs
    registry: Registry
    cache: StepCache
    objects: ObjectStore
    sources: Sources
    limits: Limits
    devices: DevicePool
