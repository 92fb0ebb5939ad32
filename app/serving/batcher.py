"""Dynamic batching: texts that come while the model is busy share its next run. A lone request never waits."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from agents.base.errors import Overloaded, Unavailable

SourceT = TypeVar("SourceT")
AnswerT = TypeVar("AnswerT")
BATCH_MOST = 64
WAITING_MOST = 1024


@dataclass
class _Request(Generic[SourceT, AnswerT]):
    source: SourceT
    texts: Sequence[str]
    answers: "asyncio.Future[list[AnswerT]]"
    order: list[int]
    """The texts' places, shortest text first: a run of like lengths is little padded."""
    taken: int = 0
    found: list[AnswerT] = field(default_factory=list)

    def in_order(self) -> list[AnswerT]:
        """Return what was found, in the order of the texts."""
        placed = dict(zip(self.order, self.found, strict=True))
        return [placed[place] for place in range(len(self.texts))]


class Batcher(Generic[SourceT, AnswerT]):
    """Runs `predict(source, texts)` in one thread of its own, on as many waiting texts at once as fit.

    Requests of different sources never share a run, and each is answered by its own source alone, so that the
    source may be switched between two requests. A request larger than a batch gives way after each of its pieces.
    """

    def __init__(
        self,
        predict: Callable[[SourceT, list[str]], list[AnswerT]],
        *,
        batch_most: int = BATCH_MOST,
        waiting_most: int = WAITING_MOST,
    ) -> None:
        self._predict = predict
        self._batch_most = batch_most
        self._waiting_most = waiting_most
        self._waiting: deque[_Request[SourceT, AnswerT]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many texts wait for a run."""
        return sum(len(request.texts) - request.taken for request in self._waiting)

    async def ask(self, source: SourceT, texts: Sequence[str]) -> list[AnswerT]:
        """Return an answer for each text, in their order.

        Raises:
            Overloaded: too many texts wait already.
            Unavailable: the process is being shut down.
        """
        if self._closed:
            raise _closing()
        if self._waiting and self.waiting + len(texts) > self._waiting_most:
            raise Overloaded(
                f"{self.waiting} texts wait already; {self._waiting_most} may.", cure="Come back in a second."
            )
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        request = _Request[SourceT, AnswerT](source, texts, asyncio.get_running_loop().create_future(), order)
        self._waiting.append(request)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await request.answers

    async def close(self) -> None:
        """Let the run that is under way end; refuse what waits and what comes."""
        self._closed = True
        for request in self._waiting:
            _fail(request, _closing())
        if self._running is not None:
            await self._running
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            pieces = self._take()
            if not pieces:
                continue
            texts = [text for _, piece in pieces for text in piece]
            try:
                answers = await loop.run_in_executor(self._thread, self._predict, pieces[0][0].source, texts)
            except Exception as fault:
                # Whatever it was belongs to those who asked; the next batch may well be answered.
                for request, _ in pieces:
                    _fail(request, fault)
                continue
            self._give(pieces, answers)

    def _take(self) -> list[tuple[_Request[SourceT, AnswerT], Sequence[str]]]:
        """Take one batch: pieces of requests to the same source, in the order they came."""
        pieces: list[tuple[_Request[SourceT, AnswerT], Sequence[str]]] = []
        room = self._batch_most
        source = self._waiting[0].source
        while room and self._waiting and self._waiting[0].source is source:
            request = self._waiting.popleft()
            if request.answers.done():
                continue
            piece = [request.texts[place] for place in request.order[request.taken : request.taken + room]]
            request.taken += len(piece)
            room -= len(piece)
            pieces.append((request, piece))
            if request.taken < len(request.texts):
                self._waiting.append(request)
        return pieces

    @staticmethod
    def _give(pieces: list[tuple[_Request[SourceT, AnswerT], Sequence[str]]], answers: list[AnswerT]) -> None:
        start = 0
        for request, piece in pieces:
            request.found += answers[start : start + len(piece)]
            start += len(piece)
            if len(request.found) == len(request.texts) and not request.answers.done():
                request.answers.set_result(request.in_order())


def _fail(request: _Request[SourceT, AnswerT], fault: Exception) -> None:
    if not request.answers.done():
        request.answers.set_exception(fault)


def _closing() -> Unavailable:
    return Unavailable("Serving is being shut down.", cure="Ask again once it is back.")
