"""Labels for texts: by the batcher of the model that is served, counted, watched and kept."""

import time
from collections import Counter
from typing import Any

from agents.base.errors import TunelineError
from agents.models.classifiers.base import Prediction
from app.serving.runtime.answer_cache import AnswerCache
from app.serving.runtime.batcher import Batcher
from app.serving.versions.reconcile import Reconciler
from app.serving.versions.served import Served
from app.serving.watch.history import History
from app.serving.watch.metrics import ServingMetrics


class Predictions:
    """The classifiers of this process, each behind a batcher of its own. `cache`: None where answers are not cached."""

    def __init__(
        self, reconciler: Reconciler, history: History, metrics: ServingMetrics, cache: AnswerCache | None
    ) -> None:
        self._reconciler, self._history, self._metrics, self._cache = reconciler, history, metrics, cache
        self._batchers: dict[str, Batcher[Served, Prediction]] = {}

    async def answer(self, model: str, texts: list[str]) -> list[dict[str, Any]]:
        """Return an answer for each text, all of one version, as `PredictionAnswer` has it.

        Raises:
            NotFound: no such model is served.
            InvalidRequest: it is a decoder.
            Overloaded: too many texts wait.
        """
        served = self._reconciler.find(model)
        _ = served.classifier
        started = time.perf_counter()
        try:
            ask = self._batcher(model).ask
            found = await (self._cache.answer(served, texts, ask) if self._cache else ask(served, texts))
        except Exception as fault:
            code = fault.code() if isinstance(fault, TunelineError) else "INTERNAL"
            self._metrics.requests.labels(model, code).inc()
            raise
        seconds = time.perf_counter() - started
        answers = [_answer(served, prediction, seconds) for prediction in found]
        self._count(served, seconds, found)
        if served.drift is not None:
            served.drift.add(texts, found)
        self._history.add(texts, answers)
        return answers

    async def close(self) -> None:
        """Let the runs that are under way end, and what is being written to the cache."""
        for batcher in self._batchers.values():
            await batcher.close()
        if self._cache is not None:
            await self._cache.close()

    def _batcher(self, model: str) -> Batcher[Served, Prediction]:
        if model not in self._batchers:
            self._batchers[model] = Batcher(self._predict, runs=lambda served: served.classifier.runs)
        return self._batchers[model]

    def _predict(self, served: Served, texts: list[str]) -> list[Prediction]:
        self._metrics.batch.labels(served.name).observe(len(texts))
        return served.classifier.predict(texts)

    def _count(self, served: Served, seconds: float, found: list[Prediction]) -> None:
        self._metrics.requests.labels(served.name, "OK").inc()
        self._metrics.latency.labels(served.name).observe(seconds)
        for label, count in Counter(label for one in found for label in one.counted).items():
            self._metrics.predictions.labels(served.name, served.version, label).inc(count)


def _answer(served: Served, prediction: Prediction, seconds: float) -> dict[str, Any]:
    return {
        **prediction.as_record(),
        "unsure": None if served.unsure_below is None else prediction.confidence < served.unsure_below,
        "model": served.name,
        "version": served.version,
        "latency_ms": round(seconds * 1e3, 3),
    }
