"""The answer cache: what a version answered to a text, kept in Redis for a while. Its absence never fails a request."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence

import orjson
import structlog
from prometheus_client import Counter
from redis.asyncio import Redis

from agents.base.errors import first_line
from agents.data.cleaning import clean_text
from agents.models.classifiers.base import Prediction, prediction_of
from agents.models.heads import Head
from app.serving.versions.served import Served

log = structlog.get_logger()
Ask = Callable[[Served, Sequence[str]], Awaitable[list[Prediction]]]
#: A Redis that did not answer is not asked again for this long.
AWAY_S = 1.0
#: Writings under way at a time; what comes above is not kept.
WRITINGS_MOST = 64


class AnswerCache:
    """Answers by model, version, format and the cleaned text; `lookups` counts by model and `hit`, `miss`, `error`."""

    def __init__(self, connection: Redis, ttl_s: float, lookups: Counter) -> None:
        self._connection = connection
        self._ttl_ms = int(ttl_s * 1000)
        self._lookups = lookups
        self._away_until = 0.0
        self._writings: set[asyncio.Task[None]] = set()

    async def answer(self, served: Served, texts: Sequence[str], ask: Ask) -> list[Prediction]:
        """Return an answer for each text, in order: those that are kept, and of `ask` the others.

        Raises:
            Overloaded, Unavailable: as `ask` does.
        """
        names = [_name(served, text) for text in texts]
        known = await self._find(served, list(dict.fromkeys(names)))
        missing = {name: text for name, text in zip(names, texts, strict=True) if name not in known}
        if missing:
            fresh = dict(zip(missing, await ask(served, list(missing.values())), strict=True))
            self._keep(fresh)
            known |= fresh
        return [known[name] for name in names]

    async def close(self) -> None:
        """End what is being written, and the connections."""
        await asyncio.gather(*self._writings)
        await self._connection.aclose()

    async def _find(self, served: Served, names: list[str]) -> dict[str, Prediction]:
        if time.monotonic() < self._away_until:
            self._lookups.labels(served.name, "error").inc(len(names))
            return {}
        try:
            values = await self._connection.mget(names)
        except Exception as fault:
            # Whatever is wrong with Redis, the model answers.
            self._leave_alone(fault)
            self._lookups.labels(served.name, "error").inc(len(names))
            return {}
        labels, head = served.classifier.labels, served.classifier.head
        found = {name: _prediction(labels, head, value) for name, value in zip(names, values, strict=True) if value}
        known = {name: prediction for name, prediction in found.items() if prediction is not None}
        self._lookups.labels(served.name, "hit").inc(len(known))
        self._lookups.labels(served.name, "miss").inc(len(names) - len(known))
        return known

    def _keep(self, fresh: dict[str, Prediction]) -> None:
        if time.monotonic() < self._away_until or len(self._writings) >= WRITINGS_MOST:
            return
        writing = asyncio.create_task(self._write(fresh))
        self._writings.add(writing)
        writing.add_done_callback(self._writings.discard)

    async def _write(self, fresh: dict[str, Prediction]) -> None:
        try:
            async with self._connection.pipeline(transaction=False) as pipe:
                for name, prediction in fresh.items():
                    pipe.set(name, orjson.dumps(list(prediction.scores.values())), px=self._ttl_ms)
                await pipe.execute()
        except Exception as fault:
            self._leave_alone(fault)

    def _leave_alone(self, fault: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_S
        log.warning("answers_not_cached", message=first_line(fault))


def answer_key(model: str, version: int | str, form: str, text_digest: str) -> str:
    """Return the Redis key of what a version answered to a text: the scores of its labels as JSON; it expires."""
    return f"tuneline:answer:{model}:{version}:{form}:{text_digest}"


def _name(served: Served, text: str) -> str:
    digest = hashlib.sha256(clean_text(text).encode(errors="surrogatepass")).hexdigest()
    return answer_key(served.name, served.version, served.format, digest)


def _prediction(labels: Sequence[str], head: Head, value: bytes) -> Prediction | None:
    """Return a kept answer; None for what does not fit these labels."""
    try:
        scores = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(scores, list) or len(scores) != len(labels) or not all(isinstance(s, float) for s in scores):
        return None
    return prediction_of(labels, scores, head)
