"""Measuring decoders: the answers they write, against the expected ones."""

from typing import Any

from agents.base.agent import Context
from agents.base.errors import InvalidData
from agents.evaluation.types import EvaluationConfig
from agents.metrics.calls import CALL_METRICS, has_calls
from agents.metrics.generation import answer_metrics, loss_metrics, score_answers
from agents.models.files import ModelFiles
from agents.models.generators.torch import LoadedGenerator, load_trained_generator
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.measure import Measure, Measured
from agents.tasks.splits import TestConversations, read_test_conversations
from agents.training.types import TrainingOutput


class AnswerMeasure(Measure[LoadedGenerator]):
    """Figures of the answers, loss and perplexity on the test split. Each model is asked by its own template."""

    def __init__(
        self, config: EvaluationConfig, context: Context, training: TrainingOutput, data: PreprocessingOutput
    ) -> None:
        super().__init__(config, context, training, data)
        self.test: TestConversations = read_test_conversations(context, data)

    @property
    def row_count(self) -> int:
        return len(self.test.conversations)

    def load(self, files: ModelFiles, base_model: str) -> LoadedGenerator:
        return load_trained_generator(files, lambda: self.context.sources.local(base_model, "model"))

    def measure(self, model: LoadedGenerator, *, done: int) -> Measured:
        expected = self.test.expected
        answers = model.answer(self.test.prompts, self.config.batch_size, lambda count: self.progress(done + count))
        scores = score_answers(expected, answers)
        if self.config.metric in CALL_METRICS and not any(map(has_calls, expected)):
            raise InvalidData(
                f"No test row expects a call of a tool, so {self.config.metric} says nothing.",
                cure="Set the evaluation's `metric` to exact_match, or use rows with `tool_calls`.",
            )
        loss = model.loss(self.test.conversations, self.config.batch_size)
        return Measured(
            value=scores.value,
            metrics={**answer_metrics(expected, answers, scores), **loss_metrics(loss)},
            rows=self._rows(answers, [bool(hit) for hit in scores.hits]),
        )

    def _rows(self, answers: list[str], hits: list[bool]) -> list[dict[str, Any]]:
        columns = zip(self.test.numbers, self.test.texts, self.test.expected, answers, hits, strict=True)
        names = ("row", "prompt", "expected", "answer", "exact_match")
        return [dict(zip(names, cells, strict=True)) for cells in columns]
