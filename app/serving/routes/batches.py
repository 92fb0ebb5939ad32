"""Asynchronous batches: each is a job of one node on the queue `serving`, with all that jobs have."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query, Response

from agents.base.errors import InvalidModel, InvalidRequest, NoSpace, NotFound, Unavailable
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact
from agents.formats import Format
from agents.tasks import TASKS
from app.http import ModelName, Offset
from app.openapi import faults
from app.serving.routes.schemas import AsyncBatchBody, BatchAccepted, BatchView
from app.serving.versions.formats import batch_formats
from app.serving.versions.loading import base_of, choose_files
from app.serving.versions.served import Versions
from app.wiring import Parts
from pipelines.engine.orchestrator import Orchestrator

AGENT = "prediction"
NODE = "prediction"


class AsyncBatches:
    """Submits batches and looks at them; `preferred`: formats, best first."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        versions: Versions,
        objects: ObjectStore,
        preferred: Sequence[Format],
        texts_most: int,
    ) -> None:
        self._orchestrator = orchestrator
        self._versions = versions
        self._objects = objects
        self._preferred = preferred
        self._texts_most = texts_most

    def submit(self, model: str, texts: list[str]) -> dict[str, Any]:
        """Queue texts for the champion of a model as it is now; return what `BatchAccepted` has.

        Raises:
            NotFound: no such model, or it has no champion.
            InvalidRequest: too many texts, or no classifier.
            InvalidModel: the version has no format that is served.
        """
        if len(texts) > self._texts_most:
            raise InvalidRequest(
                f"{len(texts):,} texts are more than one batch may have ({self._texts_most:,}).",
                cure="Send several batches, or raise TUNELINE_ASYNC_BATCH_TEXTS_MOST.",
            )
        pinned = self._pinned(model)
        # ASCII, so that half a surrogate pair, which JSON can carry, gets through too.
        content = json.dumps(texts).encode()
        stored = self._objects.put_artifact(content, "application/json")
        config = {**pinned, "texts": stored.model_dump(), "text_count": len(texts)}
        spec = {"name": AGENT, "nodes": {NODE: {"agent": AGENT, "config": config}}}
        batch_id = self._orchestrator.submit(spec, {}, started_by_us=True)
        return _accepted(batch_id, "queued", config)

    def look(self, batch_id: str, offset: int = 0, limit: int | None = None) -> dict[str, Any]:
        """Return a batch as `BatchView` has it, with a page of its predictions.

        Raises:
            NotFound: no such batch.
        """
        try:
            job = self._orchestrator.state.job(batch_id)
        except NotFound as fault:
            raise NotFound(f"There is no batch '{batch_id}'.", cure="See `tuneline batches`.") from fault
        node = job.plan.nodes.get(NODE)
        if node is None or node.agent != AGENT or len(job.plan.nodes) > 1:
            raise NotFound(f"'{batch_id}' is a job, but not a batch of predictions.", cure=f"See `/jobs/{batch_id}`.")
        output, state = job.outputs.get(NODE), job.nodes[NODE]
        view = {
            **_accepted(batch_id, job.head.status, node.config),
            "progress": self._orchestrator.state.progress(batch_id).get(NODE),
            "error": state.error,
            "created_at": job.head.created_at,
            "ended_at": job.head.ended_at,
            "predictions": None,
        }
        if output is not None:
            of = {"model": output["model_name"], "version": output["version"]}
            found = self._objects.get_json(Artifact.model_validate(output["predictions"]))
            view["predictions"] = [{**one, **of} for one in found[offset:][:limit]]
        return view

    def _pinned(self, model: str) -> dict[str, Any]:
        version = self._versions.aliases(model).get("champion")
        if version is None:
            names = ", ".join(name for name in self._versions.names() if "champion" in self._versions.aliases(name))
            raise NotFound(f"No model '{model}' has a champion.", cure=f"There are: {names or 'none yet'}.")
        manifest = self._versions.manifest(model, version)
        task = TASKS.get(manifest.task)
        if task is None or task.kind != "classifier":
            raise InvalidRequest(
                f"'{model}' is not a classifier (task '{manifest.task}'), and only classifiers answer in batches.",
                cure="Ask it by POST /v1/chat/completions.",
            )
        form, files = choose_files(manifest, self._preferred, task.kind)
        base, fingerprint = base_of(manifest) if form.needs_base else (None, None)
        return {
            "model_name": model,
            "version": version,
            "format": form.name,
            "labels": manifest.labels,
            "head": task.head(manifest.thresholds).model_dump(),
            "max_tokens": manifest.max_tokens,
            "files": {path: artifact.model_dump() for path, artifact in files.items()},
            "base_model": base,
            "base_model_fingerprint": fingerprint,
            "temperature": manifest.calibration.temperature if manifest.calibration else None,
            "unsure_below": manifest.calibration.unsure_below if manifest.calibration else None,
        }


def add_batch_routes(app: FastAPI, parts: Parts) -> None:
    """Add the routes of asynchronous batches to serving."""
    settings = parts.settings
    batches = AsyncBatches(
        parts.orchestrator,
        parts.registry,
        parts.objects,
        batch_formats(settings.serving_format),
        settings.async_batch_texts_most,
    )

    @app.post(
        "/predict/{model}/batch/async",
        status_code=202,
        tags=["batches"],
        summary="Queue a batch",
        response_model=BatchAccepted,
        responses=faults(NotFound, InvalidRequest, InvalidModel, NoSpace, Unavailable),
    )
    def submit_batch(model: ModelName, body: AsyncBatchBody) -> Response:
        """Queue many texts; the answers are fetched later by the id."""
        return Response(orjson.dumps(batches.submit(model, body.texts)), 202, media_type="application/json")

    @app.get(
        "/predict/batch/{batch_id}",
        tags=["batches"],
        summary="Show a batch",
        response_model=BatchView,
        responses=faults(NotFound, Unavailable),
    )
    def get_batch(
        batch_id: Annotated[str, Path(description="The batch's id.", examples=["job_01JY3Z9S2M"])],
        offset: Offset = 0,
        limit: Annotated[int | None, Query(ge=1, description="How many predictions to show. Unset: all.")] = None,
    ) -> Response:
        """Show how far a batch is, and its predictions once it is done: all of them, or a page."""
        return Response(orjson.dumps(batches.look(batch_id, offset, limit)), media_type="application/json")


def _accepted(batch_id: str, status: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": batch_id,
        "status": status,
        "model": config["model_name"],
        "version": config["version"],
        "format": config["format"],
        "texts": config["text_count"],
    }
