"""A job as frozen records: head, node states, events, and the one table of legal changes."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from agents.base.errors import Conflict, StopKind
from pipelines.plan import Plan

JobStatus = Literal["queued", "running", "paused", "completed", "failed", "cancelled"]
NodeStatus = Literal["waiting", "ready", "running", "paused", "completed", "cached", "skipped", "failed", "cancelled"]
JOB_ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
NODE_ENDED: frozenset[str] = frozenset({"completed", "cached", "skipped", "failed", "cancelled"})
#: A node in one of these has an output, so what needs it may run.
NODE_DONE: frozenset[str] = frozenset({"completed", "cached"})

#: Whatever is not listed here can't happen; terminal states have no way out.
LEGAL: dict[NodeStatus, frozenset[NodeStatus]] = {
    "waiting": frozenset({"ready", "skipped", "cancelled", "paused", "completed", "cached"}),
    "ready": frozenset({"running", "paused", "cancelled"}),
    "running": frozenset({"completed", "cached", "failed", "waiting", "ready", "paused", "cancelled"}),
    "paused": frozenset({"ready", "cancelled"}),
    "completed": frozenset(),
    "cached": frozenset(),
    "skipped": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node of a job. Times are seconds since 1970, by the Redis server's clock."""

    status: NodeStatus = "waiting"
    waiting_on: int = 0
    """Needed nodes that have not ended yet."""
    attempt: int = 0
    """The current attempt and its fencing token; 0: never queued."""
    failures: int = 0
    """Attempts that ended with an error that could pass."""
    losses: int = 0
    """Attempts in a row whose worker went silent, none of which got further than the one before."""
    furthest: float = 0.0
    """The progress that a lost attempt had made, in the agent's own units."""
    ready_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    due_at: float | None = None
    """While it waits for another try: when that is."""
    worker: str | None = None
    error: dict[str, Any] | None = None
    """Of the newest failed attempt."""
    reason: str | None = None
    """Why it was skipped or cancelled."""
    cache: dict[str, Any] | None = None
    """`{"hit": bool, "reason": str}` once the step cache was asked."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What earlier attempts left for the next."""

    def evolve(self, **changes: Any) -> "NodeState":
        """Return the state after a change.

        Raises:
            Conflict: the table has no such change of status.
        """
        status = changes.get("status", self.status)
        if status != self.status and status not in LEGAL[self.status]:
            raise Conflict(f"A {self.status} node can't become {status}.")
        return replace(self, **changes)

    def as_record(self) -> dict[str, Any]:
        """JSON with the defaults left out, to keep a job of 1,000 nodes small."""
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in values if value not in (None, {}, 0)}


@dataclass(frozen=True, slots=True)
class JobHead:
    """What is true of the whole job."""

    status: JobStatus = "queued"
    unfinished: int = 0
    running: int = 0
    failed: int = 0
    stop: StopKind | None = None
    """A cancel or pause that has been asked for."""
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    retry_of: str | None = None

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Job:
    """What a decision may look at. `nodes` and `outputs` hold what its event's `scope` named."""

    id: str
    plan: Plan
    head: JobHead
    nodes: dict[str, NodeState]
    outputs: dict[str, dict[str, Any]]


# -- events: what can happen to a job ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job was stored. `done`: nodes taken over from the job it retries, with their outputs."""

    done: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A worker took the message of an attempt."""

    node: str
    attempt: int
    worker: str


@dataclass(frozen=True, slots=True)
class Completed:
    """An attempt gave an output; `cached`: the step cache did."""

    node: str
    attempt: int
    output: dict[str, Any]
    cache: dict[str, Any] | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt ended with an error. `jitter` is a random share of the backoff, 0 to 1."""

    node: str
    attempt: int
    error: dict[str, Any]
    retryable: bool
    jitter: float
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lost:
    """An attempt's lease ran out. `done`: the progress it had made, in the agent's own units."""

    node: str
    attempt: int
    done: float = 0.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """An attempt ended because a stop was asked for; `handed_back`: its worker is shutting down."""

    node: str
    attempt: int
    handed_back: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """The backoff of a failed attempt is over."""

    node: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody cancels or pauses the job."""

    kind: StopKind


@dataclass(frozen=True, slots=True)
class ResumeAsked:
    """Somebody resumes a paused job."""


NodeEvent = Claimed | Completed | Failed | Lost | Stopped | Due
Event = Submitted | NodeEvent | StopAsked | ResumeAsked


# -- decisions: what is to be written ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogLine:
    """One record for the job's log."""

    event: str
    node: str | None = None
    level: str = "info"
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Promotion:
    """The champion alias of `model` moves to `version`, if it still points at `instead_of`."""

    model: str
    version: int
    instead_of: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that one event changes; written at once or not at all."""

    head: JobHead
    nodes: dict[str, NodeState] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    queue: tuple[str, ...] = ()
    """Nodes that became ready: a message each."""
    leased: str | None = None
    """The node whose attempt gets a lease."""
    released: tuple[tuple[str, int], ...] = ()
    """(node, attempt) whose lease is over."""
    due: tuple[str, ...] = ()
    """Nodes that wait until their `due_at`."""
    log: tuple[LogLine, ...] = ()
    promotion: Promotion | None = None
