"""What a retry runs, and what it takes over. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.base.errors import Conflict, InvalidData
from pipelines.engine.state.job import JOB_ENDED, NODE_DONE, Job
from pipelines.plan import Plan, PlannedNode

#: Of a node what may differ between two jobs in which it does the same work: its place, and how it is run.
HOW_IT_IS_RUN = {"number", "children", "queue", "sources", "retries", "timeout_s", "cache"}


@dataclass(frozen=True)
class Changes:
    """What a retry is to do otherwise. `params`: over those of the first request; `spec`: in place of the first."""

    params: Mapping[str, Any] = field(default_factory=dict)
    spec: Any = None

    def __bool__(self) -> bool:
        return bool(self.params) or self.spec is not None


def check_retry(job: Job, changes: Changes) -> None:
    """Refuse what can't be run again.

    Raises:
        Conflict: the job still runs; or it completed, or its spec was not kept, and nothing or no spec is changed.
    """
    if job.head.status not in JOB_ENDED:
        raise Conflict(f"The job is {job.head.status}.", cure="Cancel it first, or let it end.")
    if not changes and job.head.status == "completed":
        raise Conflict(
            "The job completed: there is nothing to retry.",
            cure="Name what is to be different, a parameter or a spec, or submit its spec again.",
        )
    if changes.params and changes.spec is None and job.plan.spec is None:
        raise Conflict(
            "The job's spec was not kept, so its parameters can't be changed.", cure="Send the spec with them."
        )


def request_of(plan: Plan, changes: Changes) -> tuple[Any, dict[str, Any]]:
    """Return spec and parameters of a retry: values of the first request stay unless they are given anew, with a new
    spec those of parameters that it has."""
    spec = plan.spec if changes.spec is None else changes.spec
    given = {name: plan.params[name] for name, source in plan.param_sources.items() if source == "request"}
    known = spec.get("params") if isinstance(spec, Mapping) else None
    kept = {name: value for name, value in given.items() if isinstance(known, Mapping) and name in known}
    return spec, {**kept, **changes.params}


def taken_over(job: Job, plan: Plan, readers: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the outputs of finished nodes that do the same work in a job's retry: node -> output.

    `readers`: agents that read files which their config names. Where rows were at fault these may have been corrected
    since, so nodes of such agents run again, with all that follows; the step cache answers where no file changed.
    """
    corrected = any(_rows_at_fault(state.error) for state in job.nodes.values() if state.status == "failed")
    found: dict[str, dict[str, Any]] = {}
    for name, node in plan.nodes.items():
        before, state = job.plan.nodes.get(name), job.nodes.get(name)
        if before is None or state is None or state.status not in NODE_DONE or not _does_the_same(before, node):
            continue
        if corrected and node.agent in readers:
            continue
        if all(other in found for other in (*node.needs, *node.inputs)):
            found[name] = job.outputs[name]
    return found


def _does_the_same(one: PlannedNode, other: PlannedNode) -> bool:
    return one.model_dump(exclude=HOW_IT_IS_RUN) == other.model_dump(exclude=HOW_IT_IS_RUN)


def _rows_at_fault(error: Mapping[str, Any] | None) -> bool:
    return bool(error) and (error or {}).get("error") == InvalidData.code()
