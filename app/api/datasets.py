"""Datasets: upload, list, look, preview."""

import re
from pathlib import Path, PurePath
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

from fastapi import APIRouter, Query, UploadFile

from agents.base.errors import InvalidRequest, NotFound
from agents.chat.format import TemplateName
from agents.data.files import Format
from agents.data.types import Shape
from agents.dataset.types import DatasetConfig
from agents.preprocessing.preview import can_render, preview_rows, render_preview
from agents.tasks import TASKS, TaskName
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


@router.get("/{dataset_id}/preview")
def preview(
    dataset_id: str,
    parts: PartsDep,
    rows: Annotated[int, Query(ge=1, le=100, description="Rows to show.")] = 5,
    format: Format | None = None,
    encoding: str | None = None,
    shape: Shape | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    model: Annotated[str | None, Query(description="URI of the model whose tokenizer renders the rows.")] = None,
    task: Annotated[TaskName | None, Query(description="Unset: by the shape of the rows.")] = None,
    template: TemplateName | None = None,
    max_tokens: Annotated[int | None, Query(ge=8)] = None,
) -> dict[str, Any]:
    """Show the first rows as they are read (columns, shape, encoding, delimiter, what is dropped) and, with `model`, as
    it would see them: template applied, tokens, and which of them carry loss.
    """
    look(dataset_id, parts)
    uri = f"dataset://{dataset_id}"
    config = DatasetConfig(
        source=uri,
        format=format,
        encoding=encoding,
        shape=shape,
        text_column=text_column,
        label_column=label_column,
    )
    found = {"source": uri, **preview_rows(config, parts.sources.local(uri, "rows"), rows)}
    if model is None:
        return {**found, "rendered": None, "rendered_note": "Name a `model` to see the rows as tokens."}
    if not can_render():
        note = "transformers is not installed beside this API. Install the extra `train`, or see preprocessing's log."
        return {**found, "rendered": None, "rendered_note": note}
    if task is None:
        rows_of = "labels" if found["used"].get("shape") == "text_label" else "conversations"
        task = next(known.name for known in TASKS.values() if known.rows == rows_of)
    tokenizer = parts.sources.local(model, "tokenizer")
    rendered = render_preview(found["rows"], tokenizer, task, template, max_tokens)
    return {**found, "rendered": rendered, "rendered_note": None}


def _key(dataset_id: str) -> str:
    return f"datasets/{dataset_id}/manifest.json"
