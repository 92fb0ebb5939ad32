"""Requests to decoders: a bounded queue for each model, answers piece by piece, ended when nobody waits for them."""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from agents.base.errors import InvalidRequest, Overloaded, TimedOut, Unavailable
from agents.models.generators.base import Completion, Generator, SamplingParams
from app.serving.versions.served import Served

#: Makes a prompt's token ids; run in a thread, since long texts take a while.
MakePrompt = Callable[[Generator], list[int]]
CLOSE_WAIT_S = 3.0


@dataclass
class _VersionQueue:
    """A version with threads of its own, so that what waits for it is answered by it after a switch too."""

    served: "weakref.ref[Served]"
    """Weak, so that a version that was switched away from leaves the memory with its last request."""
    threads: ThreadPoolExecutor
    in_flight: int = 0
    """Requests that wait or are being answered."""
    rendering: threading.Lock = field(default_factory=threading.Lock)


@dataclass(eq=False)
class _Request:
    """One request. `events` gets each piece of text, then the whole answer or what went wrong."""

    queue: _VersionQueue
    served: Served
    make_prompt: MakePrompt
    sampling: SamplingParams
    loop: asyncio.AbstractEventLoop
    events: "asyncio.Queue[str | Completion | Exception]" = field(default_factory=asyncio.Queue)
    stopped: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Write the answer, in a thread of the queue."""
        if self.stopped.is_set():
            return
        try:
            self._tell(self._written())
        except Exception as fault:
            self._tell(fault)

    def _written(self) -> Completion:
        generator = self.served.generator
        with self.queue.rendering:
            prompt_ids = self.make_prompt(generator)
        room = generator.context_tokens - len(prompt_ids)
        if room < 1:
            raise InvalidRequest(
                f"The prompt has {len(prompt_ids)} tokens; with its answer it may have {generator.context_tokens}.",
                cure="Shorten it.",
            )
        sampling = replace(self.sampling, max_new_tokens=min(self.sampling.max_new_tokens, room))
        return generator.generate(prompt_ids, sampling, self._on_text)

    def _on_text(self, piece: str) -> bool:
        self._tell(piece)
        return not self.stopped.is_set()

    def _tell(self, event: str | Completion | Exception) -> None:
        self.call(self.events.put_nowait, event)

    def call(self, function: Callable[[Any], None], argument: Any) -> None:
        """Call a function in the loop, from whichever thread."""
        # The loop is gone where serving ended without waiting for this answer any longer.
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function, argument)


class Writer:
    """Has decoders answer, at most `waiting_most` requests waiting for each, none longer than `timeout_s`."""

    def __init__(self, *, waiting_most: int, timeout_s: float) -> None:
        self._waiting_most, self._timeout_s = waiting_most, timeout_s
        self._queues: dict[str, _VersionQueue] = {}
        self._requests: set[_Request] = set()
        self._idle = asyncio.Event()
        self._closed = False

    def in_flight(self, model: str) -> int:
        """How many requests wait for a model or are being answered by it."""
        queue = self._queues.get(model)
        return queue.in_flight if queue else 0

    def check_room(self, served: Served) -> None:
        """Raises Overloaded where too many wait, Unavailable at the end of the process."""
        if self._closed:
            raise Unavailable("Serving is being shut down.", cure="Ask again once it is back.")
        waiting = self._queue(served).in_flight - served.generator.at_once
        if waiting >= self._waiting_most:
            raise Overloaded(
                f"{max(0, waiting)} requests already wait for '{served.name}'; at most {self._waiting_most} may.",
                cure="Try again in a second.",
            )

    async def write(
        self, served: Served, make_prompt: MakePrompt, sampling: SamplingParams
    ) -> "AsyncGenerator[str | Completion, None]":
        """Give each piece of the answer as it comes, and last the whole answer. Closing this ends the writing.

        Raises:
            Overloaded, Unavailable: as `check_room`.
            TimedOut: the answer took too long, its wait included.
            InvalidRequest: the prompt is too long or has no form, or the model can't sample so.
        """
        self.check_room(served)
        queue = self._queue(served)
        request = _Request(queue, served, make_prompt, sampling, asyncio.get_running_loop())
        self._requests.add(request)
        queue.in_flight += 1
        work = queue.threads.submit(request.work)
        work.add_done_callback(lambda _: request.call(self._leave, request))
        ends_at = request.loop.time() + self._timeout_s
        try:
            while True:
                # A timeout around the whole loop would strike the caller where it is, between two pieces.
                event = await asyncio.wait_for(request.events.get(), ends_at - request.loop.time())
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Completion):
                    return
        except TimeoutError as fault:
            raise TimedOut(
                f"'{served.name}' took longer than {self._timeout_s:g} s.",
                cure="Ask for fewer tokens, or raise TUNELINE_ANSWER_TIMEOUT_S.",
            ) from fault
        finally:
            request.stopped.set()
            # One that waits is taken out; one that runs sees that it is to stop, and leaves then.
            work.cancel()

    async def close(self, wait_s: float = CLOSE_WAIT_S) -> None:
        """Take nothing more, let what is being answered end within `wait_s`, then stop it."""
        self._closed = True
        if self._requests:
            self._idle.clear()
            try:
                await asyncio.wait_for(self._idle.wait(), wait_s)
            except TimeoutError:
                for request in self._requests:
                    request.stopped.set()
        for queue in self._queues.values():
            queue.threads.shutdown(wait=False, cancel_futures=True)

    def _queue(self, served: Served) -> _VersionQueue:
        queue = self._queues.get(served.name)
        if queue is None or queue.served() is not served:
            if queue is not None:
                # It ends what it has taken, and its threads with it.
                queue.threads.shutdown(wait=False)
            threads = ThreadPoolExecutor(served.generator.at_once, thread_name_prefix=f"write-{served.name}")
            queue = self._queues[served.name] = _VersionQueue(weakref.ref(served), threads)
        return queue

    def _leave(self, request: _Request) -> None:
        request.queue.in_flight -= 1
        self._requests.discard(request)
        if not self._requests:
            self._idle.set()
