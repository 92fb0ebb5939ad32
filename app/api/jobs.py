"""Jobs: submit, list, look, cancel, pause, resume, retry."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool as _in_thread

from agents.base.errors import Conflict, InvalidRequest, InvalidSpec, NoSpace, NotFound
from app.api.dependencies import FleetDep, JobId, JobIndexDep, OrchestratorDep, StateDep
from app.api.schemas.jobs import SPEC_EXAMPLE, JobPage, JobView, RetryBody, SubmitBody
from app.api.views import job_summary, job_view
from app.http import Offset
from app.openapi import faults
from pipelines.engine.orchestrator import NOTHING_CHANGED
from pipelines.engine.retries import Changes
from pipelines.engine.state.job import JobStatus
from pipelines.engine.state.store import JobStore
from pipelines.spec_text import parse_document

router = APIRouter(prefix="/jobs", tags=["jobs"])
#: A spec is written by a person; more than this is a mistake or an attack.
SPEC_MOST_BYTES = 1 << 20
#: A job may have thousands of nodes: an answer has a page of them.
NODES_MOST = 1000
NodesOffset = Annotated[int, Query(ge=0, le=1 << 53, description="How many of its nodes to skip.")]
NodesLimit = Annotated[int, Query(ge=1, le=NODES_MOST, description="The largest number of its nodes in the answer.")]
IdempotencyKey = Annotated[
    str | None,
    Header(max_length=200, description="The same key with the same body returns the first job again, for a week."),
]
SPEC_BODY = {
    "required": True,
    "description": "A spec, or a spec with values for its parameters; at most 1 MiB.",
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    SubmitBody.model_json_schema(),
                    {"type": "object", "title": "A spec", "description": "The pipeline itself; it has no key `spec`."},
                ]
            },
            "example": {"spec": SPEC_EXAMPLE, "params": {"epochs": 4}},
        },
        "application/yaml": {
            "schema": {"type": "string", "title": "A spec", "description": "The same as YAML."},
            "example": "name: rows\nnodes:\n  dataset: {agent: dataset, config: {source: 'dataset://0123456789abcdef'}}\n",
        },
    },
}
RETRY_BODY = {
    "required": False,
    "description": "What is to be different; without a body nothing is.",
    "content": {"application/json": {"schema": RetryBody.model_json_schema(), "example": {"params": {"epochs": 4}}}},
}


@router.post(
    "",
    status_code=202,
    summary="Submit a job",
    responses=faults(InvalidSpec, InvalidRequest, Conflict, NoSpace),
    openapi_extra={"requestBody": SPEC_BODY},
)
async def submit_job(
    request: Request, orchestrator: OrchestratorDep, state: StateDep, idempotency_key: IdempotencyKey = None
) -> JobView:
    """Judge a spec and start it. The body is `{"spec", "params"}`, or a spec itself, as JSON or YAML."""
    spec, params = await _in_thread(read_body, await _body(request))
    job_id = await _in_thread(orchestrator.submit, spec, params, idempotency_key)
    return await _in_thread(_view, state, job_id)


@router.get("", summary="List jobs")
def list_jobs(
    index: JobIndexDep,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=500, description="The largest number of jobs on a page.")] = 50,
    status: Annotated[JobStatus | None, Query(description="Only jobs in this state.")] = None,
    name: Annotated[str | None, Query(description="Only jobs of the spec with this name.")] = None,
) -> JobPage:
    """List jobs, newest first."""
    page = index.page(status, name, offset, limit)
    return JobPage(jobs=[job_summary(job.id, job.plan, job.head) for job in page.jobs], total=page.total)


@router.get("/{job_id}", summary="Show a job", responses=faults(NotFound))
def get_job(
    job_id: JobId,
    state: StateDep,
    fleet: FleetDep,
    nodes_offset: NodesOffset = 0,
    nodes_limit: NodesLimit = NODES_MOST,
) -> JobView:
    """Show a job: its nodes' state, progress, times, cache, and why they wait.

    A job with more than 1,000 nodes comes in pages: `nodes_total` says how many it has.
    """
    shown = state.shown(job_id, nodes_offset, nodes_limit)
    waiting = {shown.job.plan.nodes[name].queue for name in shown.names if shown.job.nodes[name].status == "ready"}
    return job_view(shown, state.clock.now(), fleet.unattended(waiting))


@router.delete("/{job_id}", status_code=202, summary="Cancel a job", responses=faults(NotFound, Conflict))
def cancel_job(job_id: JobId, orchestrator: OrchestratorDep, state: StateDep) -> JobView:
    """Cancel a job. A training saves a checkpoint first."""
    orchestrator.stop(job_id, "cancel")
    return _view(state, job_id)


@router.post("/{job_id}/pause", status_code=202, summary="Pause a job", responses=faults(NotFound, Conflict))
def pause_job(job_id: JobId, orchestrator: OrchestratorDep, state: StateDep) -> JobView:
    """Pause a job: running nodes save a checkpoint and stop, nothing new starts."""
    orchestrator.stop(job_id, "pause")
    return _view(state, job_id)


@router.post("/{job_id}/resume", status_code=202, summary="Resume a job", responses=faults(NotFound, Conflict))
def resume_job(job_id: JobId, orchestrator: OrchestratorDep, state: StateDep) -> JobView:
    """Resume a paused job."""
    orchestrator.resume(job_id)
    return _view(state, job_id)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    summary="Retry a job",
    responses=faults(NotFound, Conflict, InvalidSpec, InvalidRequest),
    openapi_extra={"requestBody": RETRY_BODY},
)
async def retry_job(job_id: JobId, request: Request, orchestrator: OrchestratorDep, state: StateDep) -> JobView:
    """Make a new job that takes over the finished nodes of a failed or cancelled one.

    With values for parameters, or another spec, it takes over the finished nodes that these leave as they are; that
    can be done with a completed job, too. Where rows were at fault it takes over none, as they may have been
    corrected: what did not change comes from the step cache.
    """
    changes = await _in_thread(read_changes, await _body(request))
    return await _in_thread(_view, state, await _in_thread(orchestrator.retry, job_id, changes))


def read_changes(body: bytes) -> Changes:
    """Return what a retry is to do otherwise; an empty body changes nothing.

    Raises:
        InvalidRequest: neither JSON nor YAML, or no such body.
    """
    if not body.strip():
        return NOTHING_CHANGED
    value = parse_document(body, "The body")
    if not isinstance(value, dict) or (unknown := set(value) - {"spec", "params"}):
        named = f"Unknown key '{min(unknown)}': the" if isinstance(value, dict) else "The"
        raise InvalidRequest(f'{named} body is {{"params", "spec"}}, each may be left out.')
    spec, params = _parts(value)
    return Changes(params, spec)


async def _body(request: Request) -> bytes:
    """Return a request's body, of which no more is read than a spec may have."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > SPEC_MOST_BYTES:
            raise InvalidRequest(f"The spec has more than {SPEC_MOST_BYTES:,} bytes, which is the limit.")
    return body


def read_body(body: bytes) -> tuple[Any, dict[str, Any]]:
    """Return the spec and the params of a submit.

    Raises:
        InvalidRequest: neither JSON nor YAML, or no such body.
    """
    value = parse_document(body, "The spec")
    if not isinstance(value, dict) or "spec" not in value:
        return value, {}
    unknown = sorted(set(value) - {"spec", "params"})
    if unknown:
        raise InvalidRequest(f'Unknown key \'{unknown[0]}\': the body is {{"spec", "params"}}, or a spec.')
    return _parts(value)


def _parts(body: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return spec and params of a body; a spec may be text."""
    spec, params = body.get("spec"), body.get("params") or {}
    if not isinstance(params, dict):
        raise InvalidRequest("`params` is a mapping from parameter to value.")
    return parse_document(spec, "The spec") if isinstance(spec, str) else spec, params


def _view(state: JobStore, job_id: str) -> JobView:
    return job_view(state.shown(job_id, 0, NODES_MOST), state.clock.now())
