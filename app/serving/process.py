"""What a serving process holds: the versions in memory, what answers with them, and what is recorded."""

import asyncio
import threading
from typing import Any

from redis.asyncio import Redis

from agents.base.object_store import ObjectStore
from agents.models.base_cache import SharedBases
from agents.models.kinds import ModelKind
from app.serving.runtime.answer_cache import AnswerCache
from app.serving.runtime.answers import Answers
from app.serving.runtime.predictions import Predictions
from app.serving.runtime.writer import Writer
from app.serving.versions.formats import preferred_formats
from app.serving.versions.loading import Load, Loader
from app.serving.versions.reconcile import Reconciler
from app.serving.versions.served import Versions
from app.serving.watch.history import History, history_url
from app.serving.watch.metrics import ServingMetrics
from app.settings import Settings
from app.wiring import build_sources

#: A download or a load that runs at the end is given up after so long.
CLOSE_WAIT_S = 3.0


class Serving:
    """The models of this process, and what asks and records them."""

    def __init__(
        self,
        versions: Versions,
        objects: ObjectStore,
        settings: Settings,
        load: Load,
        look_every_s: float,
        redis: Redis | None,
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
        cache = AnswerCache(redis, ttl_s, lookups) if redis is not None else None
        self.predictions = Predictions(self.reconciler, self.history, self.metrics, cache)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.reconciler.run, args=(self._stop,), name="reconcile", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def close(self) -> None:
        """Let what runs end, and write the history. A version that is being loaded is not waited for."""
        self._stop.set()
        await self.predictions.close()
        await self.writer.close()
        await asyncio.to_thread(self._thread.join, CLOSE_WAIT_S)
        await asyncio.to_thread(self.history.close)

    def versions(self) -> dict[str, int]:
        """Return what is served: model -> version."""
        return {served.name: served.version for served in self.reconciler.all_served()}

    def drift(self) -> list[dict[str, Any]]:
        """Return the drift of each served version that has a reference."""
        return [
            {"model": served.name, "version": served.version, **served.drift.report()}
            for served in self.reconciler.all_served()
            if served.drift is not None
        ]
