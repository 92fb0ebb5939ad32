"""Measuring decoders: the answers they write, against the expected ones."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.base.agent import Context
from agents.chat.format import PromptFormat
from agents.data.splits import TestConversations, read_test_conversations
from agents.evaluation.measure import Measure, Measured
from agents.metrics.generation import answer_metrics, score_answers
from agents.models.files import ADAPTER_CONFIG
from agents.models.generators.torch import LoadedGenerator, load_trained_generator, load_whole_generator
from agents.preprocessing.types import PreprocessingOutput
from agents.training.types import TrainingOutput


class AnswerMeasure(Measure[LoadedGenerator]):
    """Figures of the answers, loss and perplexity on the test split. Each model is asked by its own template."""

    def __init__(self, context: Context, training: TrainingOutput, data: PreprocessingOutput, batch_size: int) -> None:
        super().__init__(context, training, batch_size)
        self.test: TestConversations = read_test_conversations(context, data)

    @property
    def row_count(self) -> int:
        return len(self.test.conversations)

    def load(self, folder: Path, base_model: str, facts: Mapping[str, Any]) -> LoadedGenerator:
        prompt, cache_dir = PromptFormat.model_validate(facts["prompt"]), self.context.sources.cache_dir
        if not (folder / ADAPTER_CONFIG).exists():
            return load_whole_generator(folder, prompt, cache_dir=cache_dir)
        base = self.context.sources.local(base_model, "model")
        return load_trained_generator(folder, base, prompt, cache_dir=cache_dir)

    def measure(self, model: LoadedGenerator, weights: frozenset[str], *, done: int) -> Measured:
        expected = self.test.expected
        answers = model.answer(self.test.prompts, self.batch_size, lambda count: self.progress(done + count))
        scores = score_answers(expected, answers)
        loss = model.loss(self.test.conversations, self.batch_size)
        # A loss of 700 and more has a perplexity that no number holds.
        metrics = {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}
        return Measured(
            value=scores.value,
            metrics={**answer_metrics(expected, answers, scores), **metrics},
            rows=self._rows(answers, [bool(hit) for hit in scores.hits]),
            weights=weights,
        )

    def _rows(self, answers: list[str], hits: list[bool]) -> list[dict[str, Any]]:
        columns = zip(self.test.numbers, self.test.texts, self.test.expected, answers, hits, strict=True)
        names = ("row", "prompt", "expected", "answer", "exact_match")
        return [dict(zip(names, cells, strict=True)) for cells in columns]
