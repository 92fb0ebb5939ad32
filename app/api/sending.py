"""Artifacts as answers: sent as they are, and shown by a browser without running what is in them."""

from fastapi.responses import StreamingResponse

from agents.base.errors import NotFound
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact

#: An artifact may hold what somebody else wrote: a browser shows it, and runs nothing in it.
SAFE_TO_SHOW = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def send_artifact(objects: ObjectStore, found: Artifact) -> StreamingResponse:
    """Return an answer with an artifact's bytes."""
    if not objects.has_artifact(found):
        raise NotFound(f"The artifact {found.sha256[:12]} is no longer in the object store.", cure="Run the job again.")
    headers = {**SAFE_TO_SHOW, "Content-Length": str(found.size_bytes), "ETag": f'"{found.sha256[:32]}"'}
    chunks = objects.chunks(objects.artifact_key(found.sha256), 0, found.size_bytes)
    return StreamingResponse(chunks, headers=headers, media_type=found.media_type)
