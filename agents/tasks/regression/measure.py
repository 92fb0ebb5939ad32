"""Measuring models of numbers: how near their answers come to the true ones."""

from dataclasses import dataclass

import numpy as np

from agents.base.agent import Context
from agents.evaluation.types import EvaluationConfig
from agents.metrics.reference import number_reference
from agents.metrics.regression import value_metric
from agents.metrics.types import Reference
from agents.models.classifiers.base import Prediction
from agents.models.classifiers.torch import LoadedClassifier, load_trained
from agents.models.files import ModelFiles
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.measure import Measure, Measured
from agents.tasks.regression.numbers import OUTPUT
from agents.tasks.splits import read_texts
from agents.training.types import TrainingOutput

#: In the order that they are told in.
FIGURES = ("mae", "rmse", "r2", "spearman")
#: Predicted between two reports of progress.
CHUNK_ROWS = 256


@dataclass(frozen=True)
class NumberedRows:
    """`numbers` are the rows' numbers in the source; `values` is float64 of shape (rows,)."""

    numbers: list[int]
    texts: list[str]
    values: np.ndarray


def read_numbered(context: Context, data: PreprocessingOutput, split: str) -> NumberedRows:
    """Return a split of texts with numbers, in its order, checked against its digest."""
    numbers, texts, values = read_texts(context, data, split, "number")
    return NumberedRows(numbers, texts, np.array(values, dtype=np.float64))


def figures(true: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Return all figures of numbers, float64 of shape (rows,)."""
    return {name: value_metric(true, found, name) for name in FIGURES}


class NumberMeasure(Measure[LoadedClassifier]):
    """Errors and correlations of the answers on the test split."""

    def __init__(
        self, config: EvaluationConfig, context: Context, training: TrainingOutput, data: PreprocessingOutput
    ) -> None:
        super().__init__(config, context, training, data)
        self.test = read_numbered(context, data, "test")

    @property
    def row_count(self) -> int:
        return len(self.test.texts)

    def load(self, files: ModelFiles, base_model: str) -> LoadedClassifier:
        return load_trained(files, lambda: self.context.sources.local(base_model, "model"))

    def measure(self, model: LoadedClassifier, *, done: int) -> Measured:
        predictions: list[Prediction] = []
        for start in range(0, self.row_count, CHUNK_ROWS):
            predictions += model.predict(self.test.texts[start : start + CHUNK_ROWS], self.config.batch_size)
            self.progress(done + len(predictions))
        true, found = self.test.values, np.array([one.scores[OUTPUT] for one in predictions], dtype=np.float64)
        columns = zip(self.test.numbers, true.tolist(), found.tolist(), strict=True)
        return Measured(
            value=lambda metric, rows: value_metric(true[rows], found[rows], metric),
            metrics=figures(true, found),
            rows=[{"row": row, "expected": right, "value": answer} for row, right, answer in columns],
            unbounded=frozenset({"mae", "rmse", "r2", "spearman"}),
        )

    def reference(self, measured: Measured) -> Reference:
        return number_reference(OUTPUT, self.test.texts, [row["value"] for row in measured.rows])
