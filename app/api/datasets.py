"""Datasets: upload, list, look, preview."""

import re
from dataclasses import dataclass
from pathlib import Path as FilePath
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from agents.base import bucket
from agents.base.confined import Limits, confined
from agents.base.errors import (
    CorruptArtifact,
    InvalidData,
    InvalidModel,
    InvalidRequest,
    NoSpace,
    NotAllowed,
    NotFound,
    Overloaded,
    TooLarge,
    first_line,
)
from agents.base.object_store import ObjectStore
from agents.base.sources import Sources
from agents.chat.format import TemplateName
from agents.data.files import Format
from agents.data.files.records import shortened
from agents.data.types import Shape
from agents.dataset.types import DatasetConfig
from agents.models.files import is_gguf
from agents.preprocessing.preview import can_render, preview
from agents.tasks import TaskName
from app.api.dependencies import ObjectsDep, PreviewLimitsDep, SourcesDep, StateDep, UploadLimitDep, UploadRoomDep
from app.api.schemas.datasets import DatasetsView, DatasetView, PreviewView, UploadedView
from app.api.uploads import receive_file
from app.openapi import BYTES, faults
from pipelines.engine.state.store import JobStore

router = APIRouter(prefix="/datasets", tags=["datasets"])
log = structlog.get_logger()
FORM_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "title": "A form",
                "required": ["file"],
                "properties": {
                    "file": {
                        **BYTES,
                        "title": "File",
                        "description": "A file of rows in any format that the dataset agent reads.",
                    }
                },
            }
        }
    },
}


@dataclass(frozen=True)
class AskedPreview:
    """What a preview is to show. `reading`, `rendering`: keys of `DatasetConfig` and of `Rendering`."""

    rows: int
    reading: dict[str, Any]
    model: str | None
    rendering: dict[str, Any]


DatasetId = Annotated[str, Path(description="The dataset's id.", examples=["0123456789abcdef"])]


@router.post(
    "",
    status_code=201,
    summary="Upload a dataset",
    responses=faults(InvalidRequest, TooLarge, NoSpace),
    openapi_extra={"requestBody": FORM_BODY},
)
async def upload_dataset(
    request: Request, state: StateDep, objects: ObjectsDep, limit_mib: UploadLimitDep, room: UploadRoomDep
) -> UploadedView:
    """Store a file of rows; use it in a spec as `dataset://<id>`. Equal bytes have one id, and their first name."""
    room.check()
    with room.take(), NamedTemporaryFile(prefix="tuneline-upload-") as copy:
        name = await receive_file(request, copy, limit_mib)
        dataset = await run_in_threadpool(_store, state, objects, name, FilePath(copy.name))
    return UploadedView(**vars(dataset), uri=f"dataset://{dataset.id}")


@router.get("", summary="List the datasets")
def list_datasets(objects: ObjectsDep) -> DatasetsView:
    """List the uploaded datasets."""
    keys = [key for key in objects.keys(bucket.DATASETS) if bucket.is_manifest(key)]
    return DatasetsView(datasets=[dataset for key in keys if (dataset := _readable(objects, key)) is not None])


def asked_preview(
    rows: Annotated[int, Query(ge=1, le=100, description="How many rows to show.")] = 5,
    format: Annotated[Format | None, Query(description="The file's format. Unset: detected.")] = None,
    encoding: Annotated[str | None, Query(description="The file's encoding. Unset: detected.")] = None,
    part: Annotated[str | None, Query(description="Which of several files, sheets or lists. Unset: by names.")] = None,
    shape: Annotated[Shape | None, Query(description="The shape of the rows. Unset: by the columns.")] = None,
    text_column: Annotated[str | None, Query(description="The column of the text or prompt. Unset: by name.")] = None,
    label_column: Annotated[str | None, Query(description="The column of the label or answer. Unset: by name.")] = None,
    model: Annotated[str | None, Query(description="URI of the model whose tokenizer renders the rows.")] = None,
    task: Annotated[TaskName | None, Query(description="What the rows are for. Unset: by their shape.")] = None,
    template: Annotated[TemplateName | None, Query(description="The chat template. Unset: the model's own.")] = None,
    max_tokens: Annotated[int | None, Query(ge=8, description="Where a row is cut. Unset: by the task.")] = None,
) -> AskedPreview:
    """Return what a request asks of a preview."""
    reading = {"format": format, "encoding": encoding, "part": part, "shape": shape}
    reading |= {"text_column": text_column, "label_column": label_column, "task": task}
    return AskedPreview(rows, reading, model, {"task": task, "template": template, "max_tokens": max_tokens})


AskedDep = Annotated[AskedPreview, Depends(asked_preview)]
PREVIEW_FAULTS = faults(NotFound, NotAllowed, InvalidRequest, InvalidData, InvalidModel, Overloaded)


@router.get(
    "/preview",
    summary="Preview a source",
    response_model=PreviewView,
    response_model_exclude_unset=True,
    responses=PREVIEW_FAULTS,
)
def preview_source(
    source: Annotated[str, Query(description="URI of the rows, as a spec names them.", examples=["rows/spam.csv"])],
    sources: SourcesDep,
    limits: PreviewLimitsDep,
    asked: AskedDep,
) -> dict[str, Any]:
    """Show the first rows of what a spec could name: a file or a folder of the API's host, or a URI."""
    return _preview(source, f"'{shortened(source)}'", sources, limits, asked)


@router.get("/{dataset_id}", summary="Show a dataset", responses=faults(NotFound))
def get_dataset(dataset_id: DatasetId, objects: ObjectsDep) -> DatasetView:
    """Show an uploaded dataset."""
    return _dataset(objects, dataset_id)


@router.get(
    "/{dataset_id}/preview",
    summary="Preview a dataset",
    response_model=PreviewView,
    response_model_exclude_unset=True,
    responses=PREVIEW_FAULTS,
)
def preview_dataset(
    dataset_id: DatasetId, objects: ObjectsDep, sources: SourcesDep, limits: PreviewLimitsDep, asked: AskedDep
) -> dict[str, Any]:
    """Show the first rows as they are read (columns, shape, encoding, delimiter, what is dropped) and, with `model`, as
    it would see them: template applied, tokens, and which of them carry loss.
    """
    dataset = _dataset(objects, dataset_id)
    return _preview(f"dataset://{dataset_id}", f"'{shortened(dataset.filename)}'", sources, limits, asked)


def _preview(uri: str, name: str, sources: Sources, limits: Limits, asked: AskedPreview) -> dict[str, Any]:
    try:
        config = DatasetConfig(source=uri, **asked.reading)
    except ValidationError as fault:
        raise InvalidRequest(f"source: {fault.errors()[0]['msg'].removeprefix('Value error, ')}") from fault
    rendering = None
    if asked.model is not None and can_render():
        rendering = {"model": str(sources.local(asked.model, "tokenizer")), **asked.rendering}
    found = _confined_preview(config, sources, asked.rows, rendering, limits, name)
    note = None
    if asked.model is None:
        note = "Name a `model` to see the rows as tokens."
    elif rendering is None:
        note = "transformers is not installed beside this API. Install the extra `train`, or see preprocessing's log."
    return {"source": uri, **found, "rendered_note": note}


def _confined_preview(
    config: DatasetConfig, sources: Sources, row_count: int, rendering: dict[str, Any] | None, limits: Limits, name: str
) -> dict[str, Any]:
    """Look at rows, and at the model that is to render them, in a process of its own: both are anybody's bytes."""
    budget = sources.rows.model_copy(update={"apart": False, "batch_rows": 100})
    if (half_mib := limits.memory_mib // 2) < budget.memory_mib:
        fitting = {"memory_mib": half_mib, "memory_setting": "TUNELINE_PREVIEW_MEMORY_MIB"}
        budget = budget.model_copy(update=fitting)
    arguments = {
        "config": config.model_dump(),
        "path": str(sources.local(config.source, "rows")),
        "row_count": row_count,
        "rendering": rendering,
        "budget": budget.model_dump(),
    }
    preload = ["agents.data.files.unpacking"]
    if rendering is not None:
        preload.append("agents.models.tokenizers")
        # transformers reads GGUF with it.
        preload += ["torch"] if is_gguf(FilePath(rendering["model"])) else []
    subject = f"The preview of {name}" if rendering is None else f"The preview of {name} with this model's tokenizer"
    return confined(preview, arguments, limits, subject=subject, preload=preload)


def _store(state: JobStore, objects: ObjectStore, name: str, path: FilePath) -> DatasetView:
    artifact = objects.put_artifact_file(path)
    dataset = DatasetView(id=artifact.sha256[:16], filename=name, created_at=state.clock.now(), artifact=artifact)
    return _kept(objects, dataset)


def _dataset(objects: ObjectStore, dataset_id: str) -> DatasetView:
    if not re.fullmatch(r"[0-9a-f]{16}", dataset_id):
        raise NotFound(f"There is no dataset '{dataset_id}'.", cure="See GET /datasets.")
    dataset = _readable(objects, bucket.dataset_manifest(dataset_id))
    if dataset is None:
        raise NotFound(f"There is no dataset '{dataset_id}'.", cure="See GET /datasets, or upload the file again.")
    return dataset


def _kept(objects: ObjectStore, dataset: DatasetView) -> DatasetView:
    """Return the dataset of these bytes: who uploads them again must not rename what others' specs read.

    Raises:
        InvalidRequest: other bytes have the same id.
    """
    known = _readable(objects, bucket.dataset_manifest(dataset.id))
    if known is None:
        objects.put_manifest(bucket.dataset_manifest(dataset.id), dataset.model_dump())
        return dataset
    if known.artifact.sha256 != dataset.artifact.sha256:
        raise InvalidRequest(
            f"Another file's digest begins with '{dataset.id}', too, so this one can't have that id.",
            cure="Add a blank line to the file.",
        )
    return known


def _readable(objects: ObjectStore, key: str) -> DatasetView | None:
    """Return an upload by its manifest, None where there is none or it is damaged."""
    try:
        return DatasetView.model_validate(objects.get_manifest(key))
    except NotFound:
        return None
    except (CorruptArtifact, ValidationError) as fault:
        log.warning("dataset_unreadable", key=key, message=first_line(fault))
        return None
