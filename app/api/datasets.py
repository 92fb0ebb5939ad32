"""Datasets: upload, list, look."""

import re
from pathlib import Path, PurePath
from tempfile import NamedTemporaryFile
from typing import Any

from fastapi import APIRouter, UploadFile

from agents.base.errors import InvalidRequest, NotFound
from app.api.parts import PartsDep

router = APIRouter(prefix="/datasets", tags=["datasets"])
CHUNK_BYTES = 1 << 20


@router.post("", status_code=201)
def upload(file: UploadFile, parts: PartsDep) -> dict[str, Any]:
    """Store a file of rows; use it in a spec as `dataset://<id>`. Equal bytes have one id."""
    name = PurePath(file.filename or "rows.jsonl").name
    limit = parts.settings.upload_limit_mb << 20
    with NamedTemporaryFile(prefix="tuneline-upload-") as copy:
        size = 0
        while chunk := file.file.read(CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                raise InvalidRequest(
                    f"'{name}' is larger than {parts.settings.upload_limit_mb} MiB.",
                    cure="Raise TUNELINE_UPLOAD_LIMIT_MB.",
                )
            copy.write(chunk)
        copy.flush()
        if size == 0:
            raise InvalidRequest(f"'{name}' is empty.")
        artifact = parts.objects.put_artifact_file(Path(copy.name))
    dataset = {
        "id": artifact.sha256[:16],
        "filename": name,
        "created_at": parts.state.clock.now(),
        "artifact": artifact.model_dump(),
    }
    parts.objects.put_manifest(_key(artifact.sha256[:16]), dataset)
    return {**dataset, "uri": f"dataset://{dataset['id']}"}


@router.get("")
def list_datasets(parts: PartsDep) -> dict[str, list[dict[str, Any]]]:
    """List the uploaded datasets."""
    found = [key for key in parts.objects.keys("datasets/") if key.endswith("/manifest.json")]
    return {"datasets": [parts.objects.get_manifest(key) for key in found]}


@router.get("/{dataset_id}")
def look(dataset_id: str, parts: PartsDep) -> dict[str, Any]:
    """Show an uploaded dataset."""
    if not re.fullmatch(r"[0-9a-f]{16}", dataset_id):
        raise NotFound(f"There is no dataset '{dataset_id}'.", cure="See GET /datasets.")
    return parts.objects.get_manifest(_key(dataset_id))


def _key(dataset_id: str) -> str:
    return f"datasets/{dataset_id}/manifest.json"
