"""The serving process: `POST /predict/{model}`, batches, history, health, metrics."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import FastAPI, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST

from agents.base.errors import TunelineError
from agents.base.object_store import ObjectStore
from agents.models.base_cache import SharedBases
from agents.models.classifiers.base import Prediction
from agents.models.kinds import ModelKind
from app.http import Offset, install_error_handlers, install_key_check, serve_http
from app.serving.answers import Answers, ClientGone, client_gone
from app.serving.batcher import Batcher
from app.serving.batches import add_batch_routes
from app.serving.cache import AnswerCache
from app.serving.convert import add_convert_route
from app.serving.formats import preferred_formats
from app.serving.history import History, history_url
from app.serving.loading import Load, Loader, load_format
from app.serving.metrics import ServingMetrics
from app.serving.openai import add_openai_routes, refuse_without_key
from app.serving.reconcile import LOOK_EVERY_S, Reconciler, Served, Versions
from app.serving.schemas import BatchAnswer, BatchBody, PredictBody, PredictionAnswer, ServedModel
from app.serving.writer import Writer
from app.settings import Settings
from app.wiring import Parts, build_parts, build_sources, require_key_beyond_loopback
from pipelines.engine.process_log import configure_process_log

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: A download or a load that runs at the end is given up after so long.
CLOSE_WAIT_S = 3.0


class Serving:
    """The models of this process, each behind a batcher of its own."""

    def __init__(
        self,
        versions: Versions,
        objects: ObjectStore,
        settings: Settings,
        load: Load,
        look_every_s: float,
        redis: "Redis | None",
    ) -> None:
        self.metrics = ServingMetrics()
        url = history_url(settings.history_url, settings.state_dir)
        self.history = History(url, self.metrics.dropped.inc, texts=settings.history_texts)
        wanted: dict[ModelKind, str] = {"classifier": settings.serving_format, "decoder": settings.decoder_format}
        loader = Loader(
            objects,
            settings.state_dir.resolve() / "cache" / "models",
            SharedBases(build_sources(settings, objects)),
            {kind: preferred_formats(form, kind) for kind, form in wanted.items()},
            load,
        )
        self.reconciler = Reconciler(versions, loader, look_every_s, drift_window=settings.drift_window)
        self.writer = Writer(waiting_most=settings.answers_waiting_most, timeout_s=settings.answer_timeout_s)
        self.answers = Answers(self.reconciler, self.writer, self.history, self.metrics)
        lookups, ttl_s = self.metrics.cache_lookups, settings.answer_cache_ttl_s
        self._cache = AnswerCache(redis, ttl_s, lookups) if redis is not None else None
        self._batchers: dict[str, Batcher[Served, Prediction]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.reconciler.run, args=(self._stop,), name="reconcile", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def close(self) -> None:
        """Let what runs end, and write the history. A version that is being loaded is not waited for."""
        self._stop.set()
        for batcher in self._batchers.values():
            await batcher.close()
        await self.writer.close()
        if self._cache is not None:
            await self._cache.close()
        await asyncio.to_thread(self._thread.join, CLOSE_WAIT_S)
        await asyncio.to_thread(self.history.close)

    async def answer(self, model: str, texts: list[str]) -> list[dict[str, Any]]:
        """Return an answer for each text, all of one version, as `PredictionAnswer` has it.

        Raises:
            NotFound: no such model is served.
            Overloaded: too many texts wait.
        """
        served = self.reconciler.find(model)
        _ = served.classifier
        started = time.perf_counter()
        try:
            ask = self._batcher(model).ask
            found = await (self._cache.answer(served, texts, ask) if self._cache else ask(served, texts))
        except Exception as fault:
            self.metrics.requests.labels(model, fault.code() if isinstance(fault, TunelineError) else "INTERNAL").inc()
            raise
        seconds = time.perf_counter() - started
        answers = [_answer(served, prediction, seconds) for prediction in found]
        self._count(served, seconds, found)
        if served.drift is not None:
            served.drift.add(texts, found)
        self.history.add(texts, answers)
        return answers

    def versions(self) -> dict[str, int]:
        """Return what is served: model -> version."""
        # A copy first: the reconciler may switch while this is read.
        return {name: served.version for name, served in sorted(self.reconciler.served.copy().items())}

    def drift(self) -> list[dict[str, Any]]:
        """Return the drift of each served version that has a reference."""
        return [
            {"model": name, "version": served.version, **served.drift.report()}
            for name, served in sorted(self.reconciler.served.copy().items())
            if served.drift is not None
        ]

    def _batcher(self, model: str) -> Batcher[Served, Prediction]:
        if model not in self._batchers:
            self._batchers[model] = Batcher(self._predict, runs=lambda served: served.classifier.runs)
        return self._batchers[model]

    def _predict(self, served: Served, texts: list[str]) -> list[Prediction]:
        self.metrics.batch.labels(served.name).observe(len(texts))
        return served.classifier.predict(texts)

    def _count(self, served: Served, seconds: float, found: list[Prediction]) -> None:
        self.metrics.requests.labels(served.name, "OK").inc()
        self.metrics.latency.labels(served.name).observe(seconds)
        for label, count in Counter(prediction.label for prediction in found).items():
            self.metrics.predictions.labels(served.name, served.version, label).inc(count)


def create_app(
    versions: Versions,
    objects: ObjectStore,
    settings: Settings,
    load: Load = load_format,
    look_every_s: float = LOOK_EVERY_S,
    redis: "Redis | None" = None,
) -> FastAPI:
    """Return serving over a registry and an object store.

    `load` makes a model of a folder; `look_every_s`: how often the aliases are looked at; `redis`: where answers
    are cached.

    Raises:
        Unavailable: the history's database can't be opened.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        serving.start()
        yield
        await serving.close()

    serving = Serving(versions, objects, settings, load, look_every_s, redis)
    app = FastAPI(title="Tuneline serving", version=installed_version("tuneline"), lifespan=lifespan)
    app.state.serving = serving
    install_error_handlers(app)
    install_key_check(app, settings, refuse_without_key)
    app.add_exception_handler(ClientGone, client_gone)
    _add_prediction_routes(app, serving)
    add_convert_route(app, serving.answers, settings.convert_model)
    add_openai_routes(app, serving.answers)
    _add_watching_routes(app, serving)
    return app


def create_serving(parts: Parts) -> FastAPI:
    """Return serving with all its routes, over these parts.

    Raises:
        Unavailable: the history's database can't be opened.
    """
    app = create_app(parts.registry, parts.objects, parts.settings, redis=parts.answer_connection)
    add_batch_routes(app, parts)
    return app


def _add_prediction_routes(app: FastAPI, serving: Serving) -> None:
    # The answers are made here and need no second look: FastAPI would check and copy each before it is written.
    @app.post("/predict/{model}", response_model=PredictionAnswer)
    async def predict(model: str, body: PredictBody) -> Response:
        """Answer for one text."""
        return _json((await serving.answer(model, [body.text]))[0])

    @app.post("/predict/{model}/batch", response_model=BatchAnswer)
    async def predict_batch(model: str, body: BatchBody) -> Response:
        """Answer for many texts at once."""
        return _json({"predictions": await serving.answer(model, body.texts)})

    @app.get("/history")
    def history(
        offset: Offset = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        model: str | None = None,
        label: str | None = None,
    ) -> dict[str, Any]:
        """List what was answered, newest first."""
        rows, total = serving.history.page(offset, limit, model, label)
        return {"predictions": rows, "total": total}


def _add_watching_routes(app: FastAPI, serving: Serving) -> None:
    @app.get("/models")
    def models() -> dict[str, list[ServedModel]]:
        """List what is served."""
        return {"models": [_served_model(served) for _, served in sorted(serving.reconciler.served.copy().items())]}

    @app.get("/drift")
    def drift() -> dict[str, list[dict[str, Any]]]:
        """Say how far the newest predictions lie from those on the test split, by signal."""
        return {"models": serving.drift()}

    @app.get("/health")
    def health() -> dict[str, Any]:
        """Say what is served, and what can't be."""
        troubles = serving.reconciler.troubles()
        return {"status": "degraded" if troubles else "ok", "models": serving.versions(), "troubles": troubles}

    @app.get("/metrics")
    def metrics() -> Response:
        """Return figures for Prometheus."""
        return Response(serving.metrics.render(serving.versions(), serving.drift()), media_type=CONTENT_TYPE_LATEST)


def main(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        NotAllowed: it would listen beyond loopback without a key.
        Unavailable: Redis or the object store doesn't answer.
        Conflict: the port is taken.
    """
    configure_process_log()
    require_key_beyond_loopback(settings.serving_host, settings)
    parts = build_parts(settings)
    parts.check()
    serve_http(create_serving(parts), settings.serving_host, settings.serving_port, "TUNELINE_SERVING")


def _answer(served: Served, prediction: Prediction, seconds: float) -> dict[str, Any]:
    return {
        "label": prediction.label,
        "confidence": prediction.confidence,
        "scores": prediction.scores,
        "model": served.name,
        "version": served.version,
        "latency_ms": round(seconds * 1e3, 3),
    }


def _json(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")


def _served_model(served: Served) -> ServedModel:
    return ServedModel(
        name=served.name,
        version=served.version,
        format=served.format,
        labels=[] if served.is_decoder else served.classifier.labels,
        max_tokens=served.generator.context_tokens if served.is_decoder else served.classifier.max_tokens,
        loaded_at=served.loaded_at,
    )
