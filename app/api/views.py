"""Jobs and models as the API shows them: engine records in, answer bodies out."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from pydantic import ValidationError

from agents.base.errors import CorruptArtifact, NotFound, TunelineError
from agents.base.strict_json import finite_number
from app.api.schemas.jobs import CacheLook, JobSummary, JobView, NodeView
from app.api.schemas.models import ModelView, Move, VersionSummary
from app.schemas import Fault, FaultDetail, Progress
from pipelines.engine.state.job import NODE_ENDED, Job, JobHead, NodeState
from pipelines.engine.state.job_reader import ShownJob
from pipelines.engine.state.registry import Registry
from pipelines.plan import Plan, PlannedNode

log = structlog.get_logger()
#: So many moves of the champion are shown of one model, and in a list of them.
MOVES_MOST, MOVES_LISTED = 1000, 20
#: So many of the nodes that a node waits for are named.
NAMED_MOST = 10


def job_summary(job_id: str, plan: Plan, head: JobHead) -> JobSummary:
    """Return a job as a list shows it."""
    return JobSummary(
        id=job_id,
        name=plan.name,
        status=head.status,
        created_at=head.created_at,
        started_at=head.started_at,
        ended_at=head.ended_at,
        retry_of=head.retry_of,
        stop=head.stop,
        nodes_done=len(plan.nodes) - head.unfinished,
        nodes_total=len(plan.nodes),
    )


def job_view(shown: ShownJob, now: float, unattended: Collection[str] = ()) -> JobView:
    """Return a job with some of its nodes; `unattended`: queues that no worker listens on."""
    job = shown.job
    summary = job_summary(job.id, job.plan, job.head)
    return JobView(
        **vars(summary),
        description=job.plan.description,
        params=job.plan.params,
        param_sources=job.plan.param_sources,
        nodes={name: _node_view(shown, job.plan.nodes[name], now, unattended) for name in shown.names},
    )


def _node_view(shown: ShownJob, node: PlannedNode, now: float, unattended: Collection[str]) -> NodeView:
    state, progress = shown.job.nodes[node.name], shown.progress.get(node.name)
    seconds = round((state.ended_at or now) - state.started_at, 3) if state.started_at else None
    return NodeView(
        status=state.status,
        agent=node.agent,
        queue=node.queue,
        needs=list(node.needs),
        attempt=state.attempt,
        progress=Progress.model_validate({**progress, "eta_s": finite_number(progress.get("eta_s"))})
        if progress
        else None,
        ready_at=state.ready_at,
        started_at=state.started_at,
        ended_at=state.ended_at,
        seconds=seconds,
        worker=state.worker,
        cache=CacheLook(hit=bool(state.cache.get("hit")), reason=str(state.cache.get("reason")))
        if state.cache
        else None,
        error=_fault(state.error) if state.error else None,
        waits_for=_waits_for(shown.job, node, state, now, unattended),
        config=node.config,
        sources=node.sources,
        output=shown.job.outputs.get(node.name),
    )


def _fault(error: Mapping[str, Any]) -> Fault:
    """Return a stored error as it is shown, whatever an agent of one's own put into its details."""
    details = [
        FaultDetail(**{**detail, "path": str(detail.get("path", "")), "message": str(detail.get("message", ""))})
        for detail in error.get("details") or ()
        if isinstance(detail, dict)
    ]
    return Fault(error=str(error.get("error")), message=str(error.get("message")), details=details)


def _waits_for(job: Job, node: PlannedNode, state: NodeState, now: float, unattended: Collection[str]) -> str | None:
    if state.due_at:
        return f"another try in {max(0.0, state.due_at - now):.1f} s, after: {(state.error or {}).get('message')}"
    if state.status == "waiting":
        open_needs = [need for need in node.needs if job.nodes[need].status not in NODE_ENDED]
        return f"needs {_listed(open_needs)}" if open_needs else "the job is being stopped"
    if state.status == "ready" and node.queue in unattended:
        return f"a worker: none listens on queue '{node.queue}'. Start one: tuneline worker --queue {node.queue}"
    if state.status == "ready":
        return f"a free worker on queue '{node.queue}'"
    if state.status == "paused":
        return "the job is paused"
    return state.reason


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED_MOST:,} more" if len(names) > NAMED_MOST else ""
    return ", ".join(names[:NAMED_MOST]) + more


def model_view(registry: Registry, name: str, offset: int = 0, limit: int = 50) -> ModelView:
    """Return a model with some of its versions, newest first. A version with a damaged manifest says so itself.

    Raises:
        NotFound: no such model.
    """
    aliases = registry.aliases(name)
    numbers = registry.versions(name)
    page = [version_summary(registry, name, number, aliases) for number in numbers[offset : offset + limit]]
    history = _moves(registry, name, MOVES_MOST)
    return ModelView(name=name, aliases=aliases, versions=page, versions_total=len(numbers), history=history)


def listed_model(registry: Registry, name: str) -> ModelView:
    """Return a model as a list shows it: with its newest versions and moves, or none where all are deleted."""
    try:
        found = model_view(registry, name)
    except NotFound:
        history = _moves(registry, name, MOVES_LISTED)
        return ModelView(name=name, aliases={}, versions=[], versions_total=0, history=history)
    return found.model_copy(update={"history": found.history[:MOVES_LISTED]})


def _moves(registry: Registry, name: str, most: int) -> list[Move]:
    return [move for written in registry.history(name, most) if (move := _move(written)) is not None]


def _move(written: Mapping[str, Any]) -> Move | None:
    """Return a move as it is shown; None for what is not one."""
    try:
        return Move.model_validate({"at": 0.0, "why": "", **written})
    except ValidationError:
        return None


def version_summary(registry: Registry, name: str, version: int, aliases: Mapping[str, int]) -> VersionSummary:
    """Return a version as a list shows it; of a damaged manifest what can be read of it, and what is wrong."""
    own = sorted(alias for alias, number in aliases.items() if number == version)
    try:
        manifest = registry.manifest(name, version)
    except (CorruptArtifact, NotFound) as fault:
        log.warning("manifest_unreadable", model=name, version=version, message=str(fault))
        return _damaged_summary(registry, name, version, own, fault)
    return VersionSummary(
        version=version,
        created_at=manifest.created_at,
        verdict=manifest.verdict,
        metrics=manifest.metrics,
        formats=sorted(manifest.formats),
        aliases=own,
    )


def _damaged_summary(
    registry: Registry, name: str, version: int, aliases: list[str], fault: TunelineError
) -> VersionSummary:
    try:
        written = registry.written_manifest(name, version)
    except (CorruptArtifact, NotFound):
        written = None
    found = written if isinstance(written, Mapping) else {}
    formats = found.get("formats")
    known = {**found, "formats": sorted(formats) if isinstance(formats, Mapping) else []}
    summary = VersionSummary(
        version=version,
        created_at=None,
        verdict=None,
        metrics={},
        formats=[],
        aliases=aliases,
        fault=Fault.model_validate(fault.as_record()),
    )
    for field in ("created_at", "verdict", "metrics", "formats"):
        with suppress(ValidationError, KeyError):
            summary = VersionSummary.model_validate({**vars(summary), field: known[field]})
    return summary
