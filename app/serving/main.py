"""The serving process: `POST /predict/{model}`, batches, history, health, metrics."""

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST

from agents.base.objects import ObjectStore
from agents.classifier import Prediction
from app.http import install_error_handlers, install_key_check
from app.serving.batcher import Batcher
from app.serving.history import History, history_url
from app.serving.metrics import ServingMetrics
from app.serving.reconcile import Reconciler, Served, Versions
from app.serving.schemas import BatchAnswer, BatchBody, PredictBody, PredictionAnswer
from app.settings import Settings
from pipelines.engine.process_log import configure_process_log

Answer = tuple[Served, Prediction]


class Serving:
    """The models of this process, each behind a batcher of its own."""

    def __init__(self, versions: Versions, objects: ObjectStore, settings: Settings) -> None:
        self.metrics = ServingMetrics()
        self.history = History(history_url(settings.history_url, settings.state_dir))
        cache_dir = settings.state_dir.resolve() / "cache" / "serving"
        self.reconciler = Reconciler(versions, objects, cache_dir, on_switch=self._switched)
        self._batchers: dict[str, Batcher[Answer]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.reconciler.run, args=(self._stop,), name="reconcile", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Let what runs end, and write the history."""
        self._stop.set()
        self._thread.join()
        for batcher in self._batchers.values():
            batcher.close()
        self.history.close()

    async def answer(self, model: str, texts: list[str]) -> list[PredictionAnswer]:
        """Return an answer for each text.

        Raises:
            NotFound: no such model is served.
            Overloaded: too many texts wait.
        """
        self.reconciler.find(model)
        started = time.perf_counter()
        found = await self._batcher(model).ask(texts)
        seconds = time.perf_counter() - started
        self.metrics.latency.labels(model).observe(seconds)
        answers = [_answer(served, prediction, seconds) for served, prediction in found]
        for answer in answers:
            self.metrics.predictions.labels(model, answer.version, answer.label).inc()
        self.history.add(texts, [answer.model_dump() for answer in answers])
        return answers

    def _batcher(self, model: str) -> Batcher[Answer]:
        if model not in self._batchers:
            self._batchers[model] = Batcher(lambda texts: self._predict(model, texts))
        return self._batchers[model]

    def _predict(self, model: str, texts: list[str]) -> list[Answer]:
        served = self.reconciler.find(model)
        self.metrics.batch.labels(model).observe(len(texts))
        return [(served, prediction) for prediction in served.classifier.predict(texts)]

    def _switched(self, served: Served) -> None:
        self.metrics.version.labels(served.name).set(served.version)


def create_app(versions: Versions, objects: ObjectStore, settings: Settings) -> FastAPI:
    """Return serving over a registry and an object store."""
    serving = Serving(versions, objects, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        serving.start()
        yield
        serving.close()

    app = FastAPI(title="Tuneline serving", version=installed_version("tuneline"), lifespan=lifespan)
    app.state.serving = serving
    install_error_handlers(app)
    install_key_check(app, settings)
    _add_routes(app, serving)
    return app


def _add_routes(app: FastAPI, serving: Serving) -> None:
    @app.post("/predict/{model}")
    async def predict(model: str, body: PredictBody) -> PredictionAnswer:
        """Answer for one text."""
        return (await serving.answer(model, [body.text]))[0]

    @app.post("/predict/{model}/batch")
    async def predict_batch(model: str, body: BatchBody) -> BatchAnswer:
        """Answer for many texts at once."""
        return BatchAnswer(predictions=await serving.answer(model, body.texts))

    @app.get("/history")
    def history(
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        model: str | None = None,
        label: str | None = None,
    ) -> dict[str, Any]:
        """List what was answered, newest first."""
        rows, total = serving.history.page(offset, limit, model, label)
        return {"predictions": rows, "total": total}

    @app.get("/health")
    def health() -> dict[str, Any]:
        """Say what is served, and what can't be."""
        served = {name: held.version for name, held in sorted(serving.reconciler.served.items())}
        troubles = serving.reconciler.troubles()
        return {"status": "degraded" if troubles else "ok", "models": served, "troubles": troubles}

    @app.get("/metrics")
    def metrics() -> Response:
        """Return figures for Prometheus."""
        serving.metrics.dropped.set(serving.history.dropped)
        return Response(serving.metrics.render(), media_type=CONTENT_TYPE_LATEST)


def main(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        NotAllowed: it would listen beyond loopback without a key.
        Unavailable: Redis or the object store doesn't answer.
    """
    from app.wiring import build_parts, require_key_beyond_loopback

    configure_process_log()
    require_key_beyond_loopback(settings.serving_host, settings)
    parts = build_parts(settings)
    parts.check()
    uvicorn.run(
        create_app(parts.registry, parts.objects, settings),
        host=settings.serving_host,
        port=settings.serving_port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
    )


def _answer(served: Served, prediction: Prediction, seconds: float) -> PredictionAnswer:
    return PredictionAnswer(
        label=prediction.label,
        confidence=prediction.confidence,
        scores=prediction.scores,
        model=served.name,
        version=served.version,
        latency_ms=round(seconds * 1e3, 3),
    )
