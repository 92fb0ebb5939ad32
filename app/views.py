"""Jobs and models as the API shows them: engine records in, answer bodies out."""

from collections.abc import Iterator, Mapping
from typing import Any

from agents.base.records import Artifact
from agents.formats.manifest import Manifest
from app.schemas import JobSummary, JobView, ModelView, NodeView, VersionSummary
from pipelines.engine.job import NODE_ENDED, Job, JobHead, NodeState
from pipelines.engine.registry import Registry
from pipelines.plan import Plan, PlannedNode


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


def job_view(job: Job, progress: dict[str, Any], now: float) -> JobView:
    """Return a job whole."""
    summary = job_summary(job.id, job.plan, job.head)
    return JobView(
        **summary.model_dump(),
        description=job.plan.description,
        params=job.plan.params,
        param_sources=job.plan.param_sources,
        nodes={name: _node_view(job, node, progress.get(name), now) for name, node in job.plan.nodes.items()},
    )


def _node_view(job: Job, node: PlannedNode, progress: dict[str, Any] | None, now: float) -> NodeView:
    state = job.nodes[node.name]
    seconds = round((state.ended_at or now) - state.started_at, 3) if state.started_at else None
    return NodeView(
        status=state.status,
        agent=node.agent,
        queue=node.queue,
        needs=list(node.needs),
        attempt=state.attempt,
        progress=progress,
        ready_at=state.ready_at,
        started_at=state.started_at,
        ended_at=state.ended_at,
        seconds=seconds,
        worker=state.worker,
        cache=state.cache,
        error=state.error,
        waits_for=_waits_for(job, node, state, now),
        config=node.config,
        sources=node.sources,
        output=job.outputs.get(node.name),
    )


def _waits_for(job: Job, node: PlannedNode, state: NodeState, now: float) -> str | None:
    if state.due_at:
        return f"another try in {max(0.0, state.due_at - now):.1f} s, after: {(state.error or {}).get('message')}"
    if state.status == "waiting":
        open_needs = [need for need in node.needs if job.nodes[need].status not in NODE_ENDED]
        return f"needs {', '.join(open_needs)}" if open_needs else "the job is being stopped"
    if state.status == "ready":
        return f"a free worker on queue '{node.queue}'"
    if state.status == "paused":
        return "the job is paused"
    return state.reason


def named_artifacts(value: Any, name: str = "") -> Iterator[tuple[str, Artifact]]:
    """Yield every artifact that an output refers to, named by the way to it: `pictures/roc.svg`."""
    if isinstance(value, Mapping) and value.keys() == Artifact.model_fields.keys():
        yield name, Artifact.model_validate(value)
        return
    below = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, found in below:
        yield from named_artifacts(found, f"{name}/{key}" if name else str(key))


def model_view(registry: Registry, name: str, offset: int = 0, limit: int = 50) -> ModelView:
    """Return a model with some of its versions, newest first.

    Raises:
        NotFound: no such model.
    """
    aliases = registry.aliases(name)
    numbers = registry.versions(name)
    page = [version_summary(registry.manifest(name, number), aliases) for number in numbers[offset : offset + limit]]
    return ModelView(
        name=name, aliases=aliases, versions=page, versions_total=len(numbers), history=registry.history(name)
    )


def version_summary(manifest: Manifest, aliases: dict[str, int]) -> VersionSummary:
    """Return a version as a list shows it."""
    return VersionSummary(
        version=manifest.version,
        created_at=manifest.created_at,
        verdict=manifest.verdict,
        metrics=manifest.metrics,
        formats=sorted(manifest.formats),
        aliases=sorted(alias for alias, version in aliases.items() if version == manifest.version),
    )
