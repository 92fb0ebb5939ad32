"""What exports of decoders are proven on: the same answers, letter by letter."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from agents.base.agent import Context, inputs_from
from agents.chat.answers import Conversation
from agents.chat.markup import chat_template
from agents.chat.renderer import Renderer
from agents.formats import Format
from agents.metrics.generation import score_answers
from agents.models.generators.torch import LoadedGenerator, load_merged, load_trained_generator
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.golden import OWN_TEXTS, Golden, Likeness
from agents.tasks.splits import read_conversations

#: That are read at most; a format may be proven on fewer, since writing answers takes far longer than choosing labels.
PROMPTS_MOST = 100


class AnswersPrompts(Protocol):
    """A decoder in whatever runs it."""

    def answer(self, prompts: Sequence[Conversation]) -> list[str]:
        """Return the likeliest answer to each conversation, in order."""


class GoldenPrompts(Golden[LoadedGenerator]):
    """Prompts of the test split, then, if these are few, of the others."""

    renderer: Renderer
    """Of the trained model, known once its answers were asked for."""

    def load_trained(self, folder: Path, base: Callable[[], Path]) -> LoadedGenerator:
        loaded = load_trained_generator(self.files(folder), base)
        # What other programs stop at, and write prompts by, lies beside the weights.
        loaded.model.generation_config.eos_token_id = loaded.renderer.end_token_id
        loaded.tokenizer.chat_template = chat_template(loaded.renderer.template)
        return loaded

    def load_on_cpu(self, folder: Path) -> LoadedGenerator:
        return load_merged(self.files(folder), device="cpu")

    @cached_property
    def _rows(self) -> tuple[list[Conversation], list[str]]:
        return golden_prompts(self.context)

    def expected(self, model: LoadedGenerator, forms: Sequence[Format]) -> list[str]:
        self.renderer = model.renderer
        return model.answer(self._rows[0][: max(form.prompts for form in forms)])

    def asked(self, model: AnswersPrompts, form: Format, expected: Sequence[str]) -> list[list[str]]:
        prompts = [self.renderer.as_text(*one) for one in self._rows[0][: min(form.prompts, len(expected))]]
        written = model.answer(prompts)
        tools = (one.tools for one in prompts)
        return [[self.renderer.read(text, given).text.strip() for text, given in zip(written, tools, strict=True)]]

    def compare(self, found: Sequence[str], expected: Sequence[str]) -> Likeness:
        same = sum(one == other for one, other in zip(found, expected, strict=False))
        return Likeness(same / len(found), 0.0)

    def said(self, answer: str) -> str:
        return answer

    def value(self, answers: Sequence[str]) -> float | None:
        right = self._rows[1][: len(answers)]
        if not right:
            return None
        return score_answers(right, answers).value(self.judged.metric, np.arange(len(answers)))


def golden_prompts(context: Context) -> tuple[list[Conversation], list[str]]:
    """Return prompts to compare answers on, and what is right.

    Without a preprocessing before it, the prompts are a few of the project's own, and nothing is known to be right.
    """
    prompts: list[Conversation] = []
    right: list[str] = []
    for data in inputs_from(context, "preprocessing", PreprocessingOutput)[-1:]:
        for split in ("test", "validation", "train"):
            if len(prompts) < PROMPTS_MOST:
                rows = read_conversations(context, data, split)
                prompts, right = prompts + rows.prompts, right + rows.expected
    own = [Conversation([{"role": "user", "content": text}]) for text in OWN_TEXTS]
    return prompts[:PROMPTS_MOST] or own, right[:PROMPTS_MOST]
