"""Artifacts of a job: what its nodes left in the object store, listed by name and sent as they are."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse
from starlette.convertors import PathConvertor, register_url_convertor

from agents.base.errors import NotFound
from agents.base.records import Artifact
from app.api.parts import PartsDep
from app.schemas import ArtifactsView, ArtifactView
from app.views import named_artifacts
from app.wiring import Parts

router = APIRouter(prefix="/jobs", tags=["jobs"])
#: An artifact may hold what somebody else wrote: a browser shows it, and runs nothing in it.
SAFE_TO_SHOW = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


@router.get("/{job_id}/artifacts")
def list_artifacts(job_id: str, parts: PartsDep) -> ArtifactsView:
    """List what a job's finished nodes refer to in the object store: reports, pictures, rows, weights."""
    return ArtifactsView(
        artifacts=[
            ArtifactView(node=node, name=name, **artifact.model_dump())
            for node, output in parts.state.job(job_id).outputs.items()
            for name, artifact in named_artifacts(output)
        ]
    )


class _AnyPath(PathConvertor):
    """A path that may have line breaks in it, as names of nodes may."""

    regex = r"[\s\S]*"


register_url_convertor("any_path", _AnyPath())


@router.get("/{job_id}/artifacts/{node}/{name:any_path}")
def artifact(
    job_id: str, node: str, name: Annotated[str, Path(description="As listed.")], parts: PartsDep
) -> StreamingResponse:
    """Return an artifact's bytes, such as `evaluation/pictures/roc.svg`."""
    outputs = parts.state.job(job_id).outputs
    # A node's name may have a slash in it: what belongs to the name shows in what there is.
    paths = {f"{known}/{path}": found for known, output in outputs.items() for path, found in named_artifacts(output)}
    found = paths.get(f"{node}/{name}")
    if found is None:
        own = [path for path, _ in named_artifacts(outputs.get(node, {}))]
        known = f"It has: {', '.join(own)}." if own else f"There are some of: {', '.join(outputs) or 'none yet'}."
        raise NotFound(f"'{node}' of {job_id} has no artifact '{name}'.", cure=known)
    return send_artifact(parts, found)


def send_artifact(parts: Parts, found: Artifact) -> StreamingResponse:
    """Return an answer with an artifact's bytes."""
    if not parts.objects.has_artifact(found):
        raise NotFound(f"The artifact {found.sha256[:12]} is no longer in the object store.", cure="Run the job again.")
    headers = {**SAFE_TO_SHOW, "Content-Length": str(found.size_bytes), "ETag": f'"{found.sha256[:32]}"'}
    chunks = parts.objects.chunks(parts.objects.artifact_key(found.sha256), 0, found.size_bytes)
    return StreamingResponse(chunks, headers=headers, media_type=found.media_type)
