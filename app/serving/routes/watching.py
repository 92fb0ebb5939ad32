"""What is served and how it does: models, history, drift, health, metrics."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from agents.base.errors import Unavailable
from app.door.guard import CALLER
from app.http import NOT_TOLD, Offset, PrometheusText
from app.openapi import faults
from app.schemas import NO_NUL
from app.serving.process import Serving
from app.serving.routes.schemas import DriftView, HistoryPage, ServedModel, ServedModels, ServingHealth
from app.serving.versions.served import Served

#: Characters of a label that is looked for.
LABEL_MOST = 250


def add_watching_routes(app: FastAPI, serving: Serving) -> None:
    """Add the routes that tell what is served, what was answered, and what is wrong."""

    @app.get(
        "/history",
        tags=["watching"],
        summary="List predictions",
        response_model=HistoryPage,
        responses=faults(Unavailable),
    )
    def list_predictions(
        offset: Offset = 0,
        limit: Annotated[int, Query(ge=1, le=1000, description="The largest number on a page.")] = 50,
        model: Annotated[
            str | None, Query(max_length=63, pattern=NO_NUL, description="Only predictions of this model.")
        ] = None,
        label: Annotated[
            str | None, Query(max_length=LABEL_MOST, pattern=NO_NUL, description="Only predictions with this label.")
        ] = None,
    ) -> dict[str, Any]:
        """List what was answered, newest first."""
        rows, total = serving.history.page(offset, limit, model, label)
        return {"predictions": rows, "total": total}

    @app.get("/models", tags=["watching"], summary="List the served models")
    def list_served_models() -> ServedModels:
        """List what is served."""
        return ServedModels(models=[_served_model(served) for served in serving.reconciler.all_served()])

    @app.get("/drift", tags=["watching"], summary="Show drift", response_model=DriftView)
    def get_drift() -> dict[str, list[dict[str, Any]]]:
        """Show how far the newest predictions are from those on the test split, by signal."""
        return {"models": serving.drift()}

    @app.get("/health", tags=["watching"], summary="Check the health of serving", response_model=ServingHealth)
    def get_serving_health(request: Request) -> dict[str, Any]:
        """Show what is served, and what can't be; without the key not why."""
        troubles = serving.reconciler.troubles()
        if request.scope[CALLER] is None:
            troubles = dict.fromkeys(troubles, NOT_TOLD)
        return {"status": "degraded" if troubles else "ok", "models": serving.versions(), "troubles": troubles}

    @app.get("/metrics", tags=["watching"], summary="Read the metrics of serving", response_class=PrometheusText)
    def get_serving_metrics() -> Response:
        """Return metrics for Prometheus."""
        return Response(serving.metrics.render(serving.versions(), serving.drift()), media_type=CONTENT_TYPE_LATEST)


def _served_model(served: Served) -> ServedModel:
    return ServedModel(
        name=served.name,
        version=served.version,
        format=served.format,
        labels=[] if served.is_decoder else served.classifier.labels,
        max_tokens=served.generator.context_tokens if served.is_decoder else served.classifier.max_tokens,
        loaded_at=served.loaded_at,
    )
