"""Dynamic batching: texts that come while the model is busy share its next run. A lone request never waits."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from agents.base.errors import Overloaded, Unavailable
from agents.models.classifiers.base import Runs

SourceT = TypeVar("SourceT")
AnswerT = TypeVar("AnswerT")
WAITING_MOST = 1024


@dataclass
class _Request(Generic[SourceT, AnswerT]):
    source: SourceT
    texts: Sequence[str]
    answers: "asyncio.Future[list[AnswerT]]"
    untaken: list[int]
    """Places of texts that wait for a run, longest text first: the shortest is taken from the end."""
    found: dict[int, AnswerT] = field(default_factory=dict)
    """Place of a text -> its answer; runs may end in any order."""


class Batcher(Generic[SourceT, AnswerT]):
    """Runs `predict(source, texts)` in threads of its own, on as many waiting texts at once as `runs` says.

    Requests of different sources never share a run, and each is answered by its own source alone, so that the
    source may be switched between two requests. A request larger than a batch gives way after each of its pieces.
    """

    def __init__(
        self,
        predict: Callable[[SourceT, list[str]], list[AnswerT]],
        *,
        runs: Callable[[SourceT], Runs] = lambda _: Runs(at_once=1, texts_most=64),
        waiting_most: int = WAITING_MOST,
    ) -> None:
        self._predict = predict
        self._runs = runs
        self._waiting_most = waiting_most
        self._waiting: deque[_Request[SourceT, AnswerT]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(thread_name_prefix="predict")
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many texts wait for a run."""
        return sum(len(request.untaken) for request in self._waiting)

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
                f"{self.waiting} texts are already waiting; at most {self._waiting_most} may.",
                cure="Try again in a second.",
            )
        places = sorted(range(len(texts)), key=lambda place: len(texts[place]))[::-1]
        request = _Request[SourceT, AnswerT](source, texts, asyncio.get_running_loop().create_future(), places)
        self._waiting.append(request)
        if len(self._running) < self._runs(source).at_once:
            self._start()
        return await request.answers

    async def close(self) -> None:
        """Let the run that is under way end; refuse what waits and what comes."""
        self._closed = True
        for request in self._waiting:
            _fail(request, _closing())
        await asyncio.gather(*self._running)
        self._threads.shutdown(wait=False)

    def _start(self) -> None:
        self._running.add(asyncio.create_task(self._run()))

    async def _run(self) -> None:
        try:
            await self._run_all()
        finally:
            # In the step that found nothing waiting: a callback would come after a request that counts on this run.
            self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _run_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            pieces = self._take()
            if not pieces:
                continue
            if self._waiting and len(self._running) < self._runs(self._waiting[0].source).at_once:
                self._start()
            texts = [request.texts[place] for request, places in pieces for place in places]
            try:
                answers = await loop.run_in_executor(self._threads, self._predict, pieces[0][0].source, texts)
            except Exception as fault:
                # Whatever it is belongs to those who asked; the next batch may well be answered.
                for request, _ in pieces:
                    _fail(request, fault)
                continue
            self._give(pieces, answers)

    def _take(self) -> list[tuple[_Request[SourceT, AnswerT], list[int]]]:
        """Take one batch: pieces of requests to the same source, in the order they came; for each the places."""
        source = self._waiting[0].source
        pieces: list[tuple[_Request[SourceT, AnswerT], list[int]]] = []
        room = self._runs(source).texts_most
        while room and self._waiting and self._waiting[0].source is source:
            request = self._waiting.popleft()
            if request.answers.done():
                continue
            places = request.untaken[: -room - 1 : -1]
            del request.untaken[-len(places) :]
            room -= len(places)
            pieces.append((request, places))
            if request.untaken:
                self._waiting.append(request)
        return pieces

    @staticmethod
    def _give(pieces: list[tuple[_Request[SourceT, AnswerT], list[int]]], answers: list[AnswerT]) -> None:
        given = iter(answers)
        for request, places in pieces:
            request.found.update(zip(places, given, strict=False))
            if len(request.found) == len(request.texts) and not request.answers.done():
                request.answers.set_result([request.found[place] for place in range(len(request.texts))])


def _fail(request: _Request[SourceT, AnswerT], fault: Exception) -> None:
    if not request.answers.done():
        request.answers.set_exception(fault)


def _closing() -> Unavailable:
    return Unavailable("Serving is being shut down.", cure="Ask again once it is back.")
