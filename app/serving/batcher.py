"""Dynamic batching: requests that come while the model is busy share its next run. A lone request never waits."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from agents.base.errors import Overloaded

AnswerT = TypeVar("AnswerT")
BATCH_MOST = 64
WAITING_MOST = 1024


@dataclass
class _Request(Generic[AnswerT]):
    texts: Sequence[str]
    answers: "asyncio.Future[list[AnswerT]]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher(Generic[AnswerT]):
    """Runs `predict` in one thread of its own, on as many waiting texts at once as fit.

    `predict` is asked for each batch anew, so what it calls may be switched between two batches.
    """

    def __init__(
        self,
        predict: Callable[[list[str]], list[AnswerT]],
        *,
        batch_most: int = BATCH_MOST,
        waiting_most: int = WAITING_MOST,
    ) -> None:
        self._predict = predict
        self._batch_most = batch_most
        self._waiting_most = waiting_most
        self._waiting: list[_Request[AnswerT]] = []
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")

    async def ask(self, texts: Sequence[str]) -> list[AnswerT]:
        """Return an answer for each text, in their order.

        Raises:
            Overloaded: too many texts wait already.
        """
        if sum(len(request.texts) for request in self._waiting) + len(texts) > self._waiting_most and self._waiting:
            raise Overloaded(f"{self._waiting_most} texts wait already.", cure="Come back in a second.")
        request = _Request[AnswerT](texts)
        self._waiting.append(request)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await request.answers

    def close(self) -> None:
        """Let the batch that runs end, and take no more."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._take()
            texts = [text for request in batch for text in request.texts]
            try:
                answers = await loop.run_in_executor(self._thread, self._predict, texts)
            except Exception as fault:
                for request in batch:
                    if not request.answers.done():
                        request.answers.set_exception(fault)
                continue
            start = 0
            for request in batch:
                if not request.answers.done():
                    request.answers.set_result(answers[start : start + len(request.texts)])
                start += len(request.texts)

    def _take(self) -> list[_Request[AnswerT]]:
        """Take requests up to a batch's size; one that is larger goes alone."""
        taken, size = [self._waiting.pop(0)], 0
        size = len(taken[0].texts)
        while self._waiting and size + len(self._waiting[0].texts) <= self._batch_most:
            size += len(self._waiting[0].texts)
            taken.append(self._waiting.pop(0))
        return taken
