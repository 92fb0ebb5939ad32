"""The contract of work: what an agent is, and the Context that it sees.

An agent is stateless: config and inputs in, one small JSON output out; bytes go to the object store.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, cast

from agents.base.errors import InvalidSpec, StopKind
from agents.base.records import Config, DeviceNeed, Follower, Input, Output

if TYPE_CHECKING:
    # The S3 client is heavy, and whoever reads an agent's config needs none.
    from agents.base.object_store import ObjectStore
    from agents.base.sources import Sources

ConfigT = TypeVar("ConfigT", bound=Config)
OutputT = TypeVar("OutputT", bound=Output)
AnyOutputT = TypeVar("AnyOutputT", bound=Output)


class Context(Protocol):
    """All that an agent sees of the world while it runs.

    `log` and `progress` also look for a cancel or a pause: they raise `StopRequested` in light agents.
    A training loop asks `stop_requested` itself, saves a checkpoint, then raises.
    """

    job_id: str
    pipeline: str
    node: str
    attempt: int
    inputs: tuple[Input, ...]
    followers: tuple[Follower, ...]
    """The nodes after this one, so that what they will refuse can be refused before the work."""
    objects: "ObjectStore"
    sources: "Sources"
    checkpoint_prefixes: tuple[str, ...]
    """Object store prefixes with this node's checkpoints: the first is its own to write, the others
    are those of the jobs this one continues, newest first."""
    champion: Mapping[str, Any] | None
    """Manifest of the present champion; only for agents with `reads_champion`."""
    version: int | None
    """Version number reserved for this node; only for agents with `makes_version`."""
    attempt_notes: Mapping[str, Any]
    """What earlier attempts at this node left for this one, such as `{"out_of_memory": 1}`."""
    device_mib: int | None
    """Memory reserved for this run on each of its devices; None: nobody counts it."""

    @property
    def work_dir(self) -> Path:
        """An empty folder of this attempt's own; removed when it ends."""

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        """Append a record to the job's log. `event` is a machine name, such as `rows_dropped`."""

    def progress(self, done: float, total: float, **fields: Any) -> None:
        """Say how far the node is (the ETA is worked out from it) and the newest figures."""

    def stop_requested(self) -> StopKind | None:
        """Return `cancel` or `pause` once somebody has asked for it."""


class Agent(ABC, Generic[ConfigT, OutputT]):
    """A kind of work. Instances keep nothing between runs.

    Class attributes tell the engine what it needs to know without importing heavy libraries.
    """

    config_type: ClassVar[type[Config]]
    output_type: ClassVar[type[Output]]
    consumes: ClassVar[tuple[str, ...]] = ()
    """Agents of which a node must stand before this one; their outputs become `context.inputs`."""
    consumes_if_present: ClassVar[tuple[str, ...]] = ()
    """Agents whose outputs are handed over where such a node stands before this one."""
    consumes_one: ClassVar[tuple[str, ...]] = ()
    """Of these, the agents of which only one node may stand before this one, which can't use a second one's output."""
    stands_for: ClassVar[str | None] = None
    """Agent whose place this one takes: its outputs are of the same type, and go where the other's would."""
    heavy: ClassVar[bool] = False
    """Heavy agents run in a child process of their own."""
    cacheable: ClassVar[bool] = True
    reads_champion: ClassVar[bool] = False
    makes_version: ClassVar[bool] = False

    @classmethod
    def parse_config(cls, config: Mapping[str, Any]) -> ConfigT:
        """Return a node's config as this agent's record, as strictly as JSON is read.

        Raises:
            pydantic.ValidationError: with every fault.
        """
        # The class variable can't have the type parameter in its type.
        return cast(ConfigT, cls.config_type.model_validate_json(json.dumps(config)))

    @abstractmethod
    def run(self, config: ConfigT, context: Context) -> OutputT:
        """Do the work.

        Raises:
            TunelineError: with `retryable` saying whether another attempt can help.
            StopRequested: after a cancel or a pause was seen (and a checkpoint saved).
        """

    def cache_inputs(self, config: ConfigT, sources: "Sources") -> Mapping[str, str]:
        """Digests of what the config names but doesn't contain (files, models) for the step cache."""
        return {}

    def loads(self, config: ConfigT, inputs: Sequence[Input]) -> list[str]:
        """Paths (`module:name`) of what this run loads by name: their code counts in the step cache, as imports do."""
        return []

    def device_need(self, config: ConfigT, context: Context) -> DeviceNeed:
        """What a heavy agent needs of a device; asked in the worker, without torch, before its process starts."""
        return DeviceNeed()

    @classmethod
    def cost_usd_most(cls, config: ConfigT) -> float:
        """What a run of this config may cost its operator at most, in US dollars; the judge adds up those of a job."""
        return 0.0

    @classmethod
    def check(cls, config: ConfigT, upstream: Mapping[str, Config]) -> list[str]:
        """Faults of this config beside those of the nodes before it (node name -> config)."""
        return []


def inputs_from(context: Context, agent: str, output_type: type[AnyOutputT]) -> list[AnyOutputT]:
    """Return the outputs of all nodes of `agent` before this one, in the order of the graph."""
    return [output_type.model_validate(i.output) for i in context.inputs if i.agent == agent]


def input_from(context: Context, agent: str, output_type: type[AnyOutputT]) -> AnyOutputT:
    """Return the output of the last node of `agent` before this one.

    Raises:
        InvalidSpec: no such node stands before this one.
    """
    found = inputs_from(context, agent, output_type)
    if not found:
        raise InvalidSpec(
            f"Node '{context.node}' needs a node of agent '{agent}' before it.",
            cure=f"Add one and name it in `needs` of '{context.node}' or of a node before it.",
        )
    return found[-1]
