"""Running an agent: config and context in, an Outcome out, whatever it raises."""

import errno
import json
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from agents import Agent, Config, load_agent
from agents.base.errors import (
    AgentFailed,
    InvalidSpec,
    NoSpace,
    OutOfMemory,
    StopKind,
    StopRequested,
    TunelineError,
)
from agents.base.names import printable
from agents.base.records import DeviceNeed, Output
from agents.base.strict_json import encode
from pipelines.engine.state.log_records import log_record
from pipelines.engine.worker.context import AttemptContext

log = structlog.get_logger()
#: Outputs are read by every node after this one and shown with the job.
OUTPUT_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt: an output, an error or a stop."""

    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    retryable: bool = False
    notes: dict[str, Any] = field(default_factory=dict)
    stopped: StopKind | None = None

    def as_record(self) -> dict[str, Any]:
        """JSON for the pipe between a child and its worker."""
        return {
            "output": self.output,
            "error": self.error,
            "retryable": self.retryable,
            "notes": self.notes,
            "stopped": self.stopped,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Outcome":
        return cls(**{key: value for key, value in record.items() if key != "kind"})


def run_agent(agent_path: str, config: dict[str, Any], context: AttemptContext) -> Outcome:
    """Run an agent in this process. Never raises for what the agent does."""
    try:
        agent_type = load_agent(agent_path)
        output = agent_type().run(_config(agent_type, config, context.node), context)
        return Outcome(output=_kept_output(output, context))
    except StopRequested as stop:
        return Outcome(stopped=stop.kind)
    except TunelineError as fault:
        return failure(fault, context)
    except (MemoryError, ImportError) as fault:
        return failure(unforeseen(fault, context.node, context.work_path), context)
    except BaseException as fault:
        # Also what is meant to end a process: this one has other nodes to run.
        log.exception("agent_failed", job=context.job_id, node=context.node)
        return failure(unforeseen(fault, context.node, context.work_path), context)


def _config(agent_type: type[Agent[Any, Any]], config: dict[str, Any], node: str) -> Config:
    """Return a node's config as its agent's record. Raises InvalidSpec: it was judged by a release that took more."""
    try:
        parsed: Config = agent_type.parse_config(config)
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidSpec(
            f"The config of '{node}' is not valid: {printable(place)}: {first['msg'].removeprefix('Value error, ')}",
            cure="Change the spec there, and submit it again.",
        ) from fault
    return parsed


def _kept_output(output: Output, context: AttemptContext) -> dict[str, Any]:
    """Return an output as it is kept. A number that is none becomes text, which the next agent reads as the number.

    Raises:
        AgentFailed: it is larger than an output may be.
    """
    given: dict[str, Any] = output.model_dump(mode="json")
    written = encode(given)
    if len(written.text) > OUTPUT_MOST_BYTES:
        raise AgentFailed(
            f"The output of '{context.node}' has {len(written.text):,} bytes as JSON, more than the"
            f" {OUTPUT_MOST_BYTES:,} that an output may have.",
            cure="Write what is large as an artifact, by context.objects.put_json, and return that.",
        )
    if not (written.replaced or written.cut):
        return given
    found: dict[str, Any] = json.loads(written.text)
    context.emit(log_record("output_adjusted", "warning", {"replaced": written.replaced, "cut": written.cut}))
    return found


def device_need(agent_path: str, config: dict[str, Any], context: AttemptContext) -> DeviceNeed:
    """Ask an agent what it needs of a device; one that fails at that will say why when it runs."""
    try:
        agent_type = load_agent(agent_path)
        return agent_type().device_need(agent_type.parse_config(config), context)
    except BaseException as fault:
        log.warning("device_need_unknown", job=context.job_id, node=context.node, message=str(fault))
        return DeviceNeed()


def failure(fault: TunelineError, context: AttemptContext) -> Outcome:
    """Return the outcome of an attempt that raised one of our own errors."""
    notes = {}
    if isinstance(fault, OutOfMemory):
        notes = {"out_of_memory": context.attempt_notes.get("out_of_memory", 0) + 1}
    return Outcome(error=fault.as_record(), retryable=fault.retryable, notes=notes)


def unforeseen(fault: BaseException, node: str, work_path: Path) -> TunelineError:
    """Turn what an agent had not foreseen into one of our errors, with the place but without the trace."""
    if isinstance(fault, MemoryError) or type(fault).__name__ == "OutOfMemoryError":
        return OutOfMemory(f"'{node}' ran out of memory: {fault}")
    if isinstance(fault, OSError) and fault.errno in {errno.ENOSPC, errno.EDQUOT}:
        return NoSpace(
            f"'{node}' found no room on this worker's disk at {work_path}.",
            cure="Make room there, or set TUNELINE_STATE_DIR to a larger disk, then retry the job.",
        )
    if isinstance(fault, ImportError):
        return AgentFailed(
            f"'{node}' needs the Python module '{fault.name}', which this worker lacks.",
            cure="Install the extra: pip install 'tuneline[train]'.",
        )
    frame = traceback.extract_tb(fault.__traceback__)[-1]
    place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
    if isinstance(fault, SystemExit):
        return AgentFailed(
            f"'{node}' asked for the end of its process in {place}: sys.exit({fault.code!r}).",
            cure="Have the agent return an output, or raise an error that says what is wrong.",
        )
    return AgentFailed(
        f"'{node}' failed unexpectedly in {place}: {type(fault).__name__}: {fault}.",
        cure="The worker's own log has the whole trace.",
    )
