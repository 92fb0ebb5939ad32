"""What all routes do with a decoder's answer: have it written, count it, keep it, stop it when nobody waits."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agents.base.errors import InvalidRequest, TunelineError
from agents.chat.answers import Conversation
from agents.chat.renderer import NoForm
from agents.models.generators.base import Completion, Generator, SamplingParams
from app.serving.runtime.writer import MakePrompt, Writer
from app.serving.versions.reconcile import Reconciler
from app.serving.versions.served import Served
from app.serving.watch.history import History
from app.serving.watch.metrics import ServingMetrics


class Answers:
    """The decoders of this process."""

    def __init__(self, reconciler: Reconciler, writer: Writer, history: History, metrics: ServingMetrics) -> None:
        self._reconciler, self._writer, self._history, self._metrics = reconciler, writer, history, metrics

    def decoder(self, model: str) -> Served:
        """Return a served decoder.

        Raises:
            NotFound: no such model is served.
            InvalidRequest: it is a classifier.
        """
        served = self._reconciler.find(model)
        _ = served.generator
        return served

    def served(self) -> list[Served]:
        """Return all decoders that are served."""
        return [served for served in self._reconciler.all_served() if served.is_decoder]

    def check_room(self, served: Served) -> None:
        """Raises Overloaded or Unavailable; asked before an answer begins that can't say so any more."""
        try:
            self._writer.check_room(served)
        except TunelineError as fault:
            self._metrics.requests.labels(served.name, fault.code()).inc()
            raise

    async def write(
        self, served: Served, text: str, make_prompt: MakePrompt, sampling: SamplingParams
    ) -> "AsyncGenerator[str | Completion, None]":
        """Give each piece of the answer, and last all of it. `text`: what the history keeps of the prompt.

        Raises: as `Writer.write`.
        """
        started = time.perf_counter()
        outcome = "CLIENT_GONE"
        try:
            async with aclosing(self._writer.write(served, make_prompt, sampling)) as news:
                async for piece in news:
                    if isinstance(piece, Completion):
                        outcome = "OK"
                        self._keep(served, text, piece, time.perf_counter() - started)
                    yield piece
        except Exception as fault:
            outcome = fault.code() if isinstance(fault, TunelineError) else "INTERNAL"
            raise
        finally:
            self._metrics.requests.labels(served.name, outcome).inc()

    async def whole(self, served: Served, text: str, make_prompt: MakePrompt, sampling: SamplingParams) -> Completion:
        """Return the whole answer. Raises: as `Writer.write`."""
        async with aclosing(self.write(served, text, make_prompt, sampling)) as news:
            async for piece in news:
                if isinstance(piece, Completion):
                    return piece
        raise AssertionError("An answer ends with all of it.")

    def _keep(self, served: Served, text: str, answer: Completion, seconds: float) -> None:
        labels = served.name, served.version
        self._metrics.prompt_tokens.labels(*labels).inc(answer.prompt_tokens)
        self._metrics.generated_tokens.labels(*labels).inc(answer.completion_tokens)
        self._metrics.answer_latency.labels(served.name).observe(seconds)
        self._metrics.speed.labels(served.name).observe(answer.completion_tokens / max(seconds, 1e-9))
        self._history.add_answer(text, answer.text, *labels)


def conversation(asked: Conversation, *, with_lead: bool = False) -> MakePrompt:
    """Return what makes the prompt of a conversation, by the template that the model learned.

    `with_lead`: with the markup before what the model says, for an answer that is held to a form.
    """

    def make(generator: Generator) -> list[int]:
        if generator.renderer.has_special_text(*asked):
            raise InvalidRequest("A message contains the text of one of the model's special tokens.", cure="Remove it.")
        try:
            return generator.renderer.prompt_ids(*asked, with_lead=with_lead)
        except NoForm as fault:
            raise InvalidRequest(f"The model's template can't take these messages: {fault}.") from fault

    return make
