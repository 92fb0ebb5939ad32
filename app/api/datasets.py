"""Datasets: upload, list, look, preview."""

import re
from pathlib import Path as FilePath
from pathlib import PurePath
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

from fastapi import APIRouter, File, Path, Query, UploadFile

from agents.base import bucket
from agents.base.errors import InvalidData, InvalidModel, InvalidRequest, NoSpace, NotAllowed, NotFound
from agents.base.object_store import ObjectStore
from agents.chat.format import TemplateName
from agents.data.files import Format
from agents.data.types import Shape
from agents.dataset.types import DatasetConfig
from agents.preprocessing.preview import can_render, preview_rows, render_preview
from agents.tasks import TASKS, TaskName
from app.api.dependencies import ObjectsDep, SourcesDep, StateDep, UploadLimitDep
from app.api.schemas.datasets import DatasetsView, DatasetView, PreviewView, UploadedView
from app.openapi import faults

router = APIRouter(prefix="/datasets", tags=["datasets"])
CHUNK_BYTES = 1 << 20
DatasetId = Annotated[str, Path(description="The dataset's id.", examples=["0123456789abcdef"])]


@router.post("", status_code=201, summary="Upload a dataset", responses=faults(InvalidRequest, NoSpace))
def upload_dataset(
    file: Annotated[UploadFile, File(description="A file of rows in any format that the dataset agent reads.")],
    state: StateDep,
    objects: ObjectsDep,
    limit_mib: UploadLimitDep,
) -> UploadedView:
    """Store a file of rows; use it in a spec as `dataset://<id>`. Equal bytes have one id."""
    name = PurePath(file.filename or "rows.jsonl").name
    with NamedTemporaryFile(prefix="tuneline-upload-") as copy:
        size = 0
        while chunk := file.file.read(CHUNK_BYTES):
            size += len(chunk)
            if size > limit_mib << 20:
                raise InvalidRequest(
                    f"'{name}' is larger than {limit_mib} MiB.",
                    cure="Raise TUNELINE_UPLOAD_LIMIT_MB.",
                )
            copy.write(chunk)
        copy.flush()
        if size == 0:
            raise InvalidRequest(f"'{name}' is empty.")
        artifact = objects.put_artifact_file(FilePath(copy.name))
    dataset_id = artifact.sha256[:16]
    dataset = DatasetView(id=dataset_id, filename=name, created_at=state.clock.now(), artifact=artifact)
    objects.put_manifest(bucket.dataset_manifest(dataset_id), dataset.model_dump())
    return UploadedView(**vars(dataset), uri=f"dataset://{dataset_id}")


@router.get("", summary="List the datasets")
def list_datasets(objects: ObjectsDep) -> DatasetsView:
    """List the uploaded datasets."""
    found = [key for key in objects.keys(bucket.DATASETS) if bucket.is_manifest(key)]
    return DatasetsView(datasets=[DatasetView.model_validate(objects.get_manifest(key)) for key in found])


@router.get("/{dataset_id}", summary="Show a dataset", responses=faults(NotFound))
def get_dataset(dataset_id: DatasetId, objects: ObjectsDep) -> DatasetView:
    """Show an uploaded dataset."""
    return _dataset(objects, dataset_id)


@router.get(
    "/{dataset_id}/preview",
    summary="Preview a dataset",
    response_model=PreviewView,
    response_model_exclude_unset=True,
    responses=faults(NotFound, NotAllowed, InvalidRequest, InvalidData, InvalidModel),
)
def preview_dataset(
    dataset_id: DatasetId,
    objects: ObjectsDep,
    sources: SourcesDep,
    rows: Annotated[int, Query(ge=1, le=100, description="How many rows to show.")] = 5,
    format: Annotated[Format | None, Query(description="The file's format. Unset: detected.")] = None,
    encoding: Annotated[str | None, Query(description="The file's encoding. Unset: detected.")] = None,
    shape: Annotated[Shape | None, Query(description="The shape of the rows. Unset: by the columns.")] = None,
    text_column: Annotated[str | None, Query(description="The column of the text or prompt. Unset: by name.")] = None,
    label_column: Annotated[str | None, Query(description="The column of the label or answer. Unset: by name.")] = None,
    model: Annotated[str | None, Query(description="URI of the model whose tokenizer renders the rows.")] = None,
    task: Annotated[TaskName | None, Query(description="What the rows are for. Unset: by their shape.")] = None,
    template: Annotated[TemplateName | None, Query(description="The chat template. Unset: the model's own.")] = None,
    max_tokens: Annotated[int | None, Query(ge=8, description="Where a row is cut. Unset: by the task.")] = None,
) -> dict[str, Any]:
    """Show the first rows as they are read (columns, shape, encoding, delimiter, what is dropped) and, with `model`, as
    it would see them: template applied, tokens, and which of them carry loss.
    """
    _dataset(objects, dataset_id)
    uri = f"dataset://{dataset_id}"
    config = DatasetConfig(
        source=uri,
        format=format,
        encoding=encoding,
        shape=shape,
        text_column=text_column,
        label_column=label_column,
    )
    found = {"source": uri, **preview_rows(config, sources.local(uri, "rows"), rows)}
    if model is None:
        return {**found, "rendered": None, "rendered_note": "Name a `model` to see the rows as tokens."}
    if not can_render():
        note = "transformers is not installed beside this API. Install the extra `train`, or see preprocessing's log."
        return {**found, "rendered": None, "rendered_note": note}
    if task is None:
        rows_of = "labels" if found["used"].get("shape") == "text_label" else "conversations"
        task = next(known.name for known in TASKS.values() if known.rows == rows_of)
    tokenizer = sources.local(model, "tokenizer")
    rendered = render_preview(found["rows"], tokenizer, task, template, max_tokens)
    return {**found, "rendered": rendered, "rendered_note": None}


def _dataset(objects: ObjectStore, dataset_id: str) -> DatasetView:
    if not re.fullmatch(r"[0-9a-f]{16}", dataset_id):
        raise NotFound(f"There is no dataset '{dataset_id}'.", cure="See GET /datasets.")
    return DatasetView.model_validate(objects.get_manifest(bucket.dataset_manifest(dataset_id)))
