"""Measuring decoders: the answers they write, against the expected ones."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.base.contract import Context
from agents.evaluation.measure import Measure, Measured
from agents.gate import worst_difference
from agents.generator import LoadedGenerator, as_json, load_trained_generator, load_whole_generator, same_answer
from agents.models import ADAPTER_CONFIG
from agents.outputs import PreprocessingOutput, PromptFormat, TrainingOutput
from agents.splits import TestConversations, read_test_conversations


class AnswerMeasure(Measure[LoadedGenerator]):
    """Exact match, JSON validity, loss and perplexity on the test split. Each model is asked by its own template."""

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
        import numpy as np

        answers = model.answer(self.test.prompts, self.batch_size, lambda count: self.progress(done + count))
        hits = [same_answer(*pair) for pair in zip(self.test.expected, answers, strict=True)]
        loss = model.loss(self.test.conversations, self.batch_size)
        metrics = {"exact_match": float(np.mean(hits)), "loss": loss, "perplexity": math.exp(min(loss, 700.0))}
        return Measured(
            outcome=np.array(hits, dtype=np.int64),
            metrics={**metrics, **json_validity(self.test.expected, answers)},
            rows=self._rows(answers, hits),
            weights=weights,
            confusion=[],
        )

    def worst_difference(self, ours: Measured, champion: Measured, metric: str) -> float:
        import numpy as np

        # A row is right or not: exact match is the accuracy of being right where all rows should be.
        right = np.ones(self.row_count, dtype=np.int64)
        return worst_difference(right, ours.outcome, champion.outcome, "accuracy", 1, 2)

    def _rows(self, answers: list[str], hits: list[bool]) -> list[dict[str, Any]]:
        columns = zip(self.test.numbers, self.test.texts, self.test.expected, answers, hits, strict=True)
        names = ("row", "prompt", "expected", "answer", "exact_match")
        return [dict(zip(names, cells, strict=True)) for cells in columns]


def json_validity(expected: list[str], answers: list[str]) -> dict[str, float]:
    """Return the share of answers that are JSON where JSON is expected; nothing where it never is."""
    wanted = [as_json(answer) is not None for text, answer in zip(expected, answers, strict=True) if as_json(text)]
    return {"json_validity": sum(wanted) / len(wanted)} if wanted else {}
