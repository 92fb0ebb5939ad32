"""Artifacts of a job: what its nodes wrote to the object store, listed by name and sent as they are."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from starlette.convertors import PathConvertor, register_url_convertor

from agents.base.errors import NotFound
from agents.base.names import printable
from agents.base.records import named_artifacts
from app.api.dependencies import JobId, ObjectsDep, StateDep
from app.api.schemas.artifacts import ArtifactsView, ArtifactView
from app.api.sending import send_artifact
from app.http import Offset
from app.openapi import faults, sent

router = APIRouter(prefix="/jobs", tags=["jobs"])
LISTED_MOST = 1000
#: So many names are listed to somebody who asks for one that is not there.
NAMED_MOST = 20
Limit = Annotated[int, Query(ge=1, le=LISTED_MOST, description="The largest number of artifacts on a page.")]


@router.get("/{job_id}/artifacts", summary="List the artifacts of a job", responses=faults(NotFound))
def list_artifacts(job_id: JobId, state: StateDep, offset: Offset = 0, limit: Limit = LISTED_MOST) -> ArtifactsView:
    """List what a job's finished nodes refer to in the object store: reports, pictures, rows, weights."""
    found = [
        (node, name, artifact)
        for node, output in state.outputs(job_id).items()
        for name, artifact in named_artifacts(output)
    ]
    page = found[offset : offset + limit]
    return ArtifactsView(
        artifacts=[ArtifactView(node=node, name=name, **artifact.model_dump()) for node, name, artifact in page],
        total=len(found),
    )


class _AnyPath(PathConvertor):
    """A path that may have line breaks in it, as names of nodes may."""

    regex = r"[\s\S]*"


register_url_convertor("any_path", _AnyPath())


@router.get(
    "/{job_id}/artifacts/{node}/{name:any_path}",
    summary="Fetch an artifact",
    response_class=StreamingResponse,
    responses={**faults(NotFound), 200: sent("The bytes, with the artifact's own media type.", "*/*")},
)
def get_artifact(
    job_id: JobId,
    node: Annotated[str, Path(description="The node that wrote it.", examples=["evaluation"])],
    name: Annotated[str, Path(description="Its name as it is listed.", examples=["pictures/roc.svg"])],
    state: StateDep,
    objects: ObjectsDep,
) -> StreamingResponse:
    """Return an artifact's bytes, such as `evaluation/pictures/roc.svg`."""
    outputs = state.outputs(job_id)
    # A node's name may have a slash in it: what belongs to the name shows in what there is.
    paths = {f"{known}/{path}": found for known, output in outputs.items() for path, found in named_artifacts(output)}
    found = paths.get(f"{node}/{name}")
    if found is None:
        own = [path for path, _ in named_artifacts(outputs.get(node, {}))]
        listed = ", ".join((own or list(outputs))[:NAMED_MOST]) or "none yet"
        known = f"It has: {listed}." if own else f"These nodes have artifacts: {listed}."
        raise NotFound(f"'{printable(node)}' of {job_id} has no artifact '{printable(name)}'.", cure=known)
    return send_artifact(objects, found)
