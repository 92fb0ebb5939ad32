"""Jobs: submit, list, look, cancel, pause, resume, retry."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool as _in_thread

from agents.base.errors import InvalidRequest
from app.api.parts import PartsDep
from app.http import Offset
from app.schemas import JobPage, JobView, SubmitBody
from app.views import job_summary, job_view
from app.wiring import Parts
from pipelines.engine.state.job import JobStatus
from pipelines.spec_text import parse_document

router = APIRouter(prefix="/jobs", tags=["jobs"])
#: A spec is written by a person; more than this is a mistake or an attack.
SPEC_MOST_BYTES = 1 << 20


@router.post(
    "",
    status_code=202,
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {"schema": SubmitBody.model_json_schema()},
                "application/yaml": {"schema": {"type": "string"}},
            }
        }
    },
)
async def submit(
    request: Request, parts: PartsDep, idempotency_key: Annotated[str | None, Header(max_length=200)] = None
) -> JobView:
    """Judge a spec and start it. The body is `{"spec", "params"}`, or a spec itself, as JSON or YAML."""
    spec, params = await _in_thread(read_body, await _body(request))
    job_id = await _in_thread(parts.orchestrator.submit, spec, params, idempotency_key)
    return await _in_thread(_view, parts, job_id)


@router.get("")
def list_jobs(
    parts: PartsDep,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    status: JobStatus | None = None,
    name: str | None = None,
) -> JobPage:
    """List jobs, newest first."""
    page = parts.job_index.page(status, name, offset, limit)
    return JobPage(jobs=[job_summary(job.id, job.plan, job.head) for job in page.jobs], total=page.total)


@router.get("/{job_id}")
def look(job_id: str, parts: PartsDep) -> JobView:
    """Show a job: every node's state, progress, times, cache, and why it waits."""
    return _view(parts, job_id)


@router.delete("/{job_id}", status_code=202)
def cancel(job_id: str, parts: PartsDep) -> JobView:
    """Cancel a job. A training saves a checkpoint first."""
    parts.orchestrator.stop(job_id, "cancel")
    return _view(parts, job_id)


@router.post("/{job_id}/pause", status_code=202)
def pause(job_id: str, parts: PartsDep) -> JobView:
    """Pause a job: running nodes save a checkpoint and stop, nothing new starts."""
    parts.orchestrator.stop(job_id, "pause")
    return _view(parts, job_id)


@router.post("/{job_id}/resume", status_code=202)
def resume(job_id: str, parts: PartsDep) -> JobView:
    """Let a paused job go on."""
    parts.orchestrator.resume(job_id)
    return _view(parts, job_id)


@router.post("/{job_id}/retry", status_code=202)
def retry(job_id: str, parts: PartsDep) -> JobView:
    """Make a new job that takes over the finished nodes of a failed or cancelled one."""
    return _view(parts, parts.orchestrator.retry(job_id))


async def _body(request: Request) -> bytes:
    """Return a request's body, of which no more is read than a spec may have."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > SPEC_MOST_BYTES:
            raise InvalidRequest(f"The spec has more than the {SPEC_MOST_BYTES:,} bytes that are allowed.")
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
    spec, params = value["spec"], value.get("params") or {}
    if not isinstance(params, dict):
        raise InvalidRequest("`params` is a mapping from parameter to value.")
    return parse_document(spec, "The spec") if isinstance(spec, str) else spec, params


def _view(parts: Parts, job_id: str) -> JobView:
    job = parts.state.job(job_id)
    progress = parts.state.progress(job_id)
    return job_view(job, progress, parts.state.clock.now())
