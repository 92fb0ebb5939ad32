"""Measuring classifiers: the labels they give, against the true ones."""

from dataclasses import replace
from typing import Any

import numpy as np

from agents.base.agent import Context
from agents.evaluation.types import EvaluationConfig
from agents.metrics.calibration import calibration_bins
from agents.metrics.classification import confusion, label_metrics, metric_value, positive_index, roc_curves
from agents.metrics.reference import label_reference
from agents.metrics.threshold import ScoredRows, find_threshold
from agents.metrics.types import Reference
from agents.models.classifiers.base import Prediction
from agents.models.classifiers.torch import LoadedClassifier, load_trained
from agents.models.files import ModelFiles
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.measure import Measure, Measured
from agents.tasks.splits import LabelledRows, read_labelled
from agents.training.types import TrainingOutput

#: Predicted between two reports of progress.
CHUNK_ROWS = 256
#: So many validation rows at most are asked for the threshold: it moves little with more, and each costs a prediction.
THRESHOLD_ROWS = 2048


class LabelMeasure(Measure[LoadedClassifier]):
    """Figures of labels and of their probabilities on the test split."""

    def __init__(
        self, config: EvaluationConfig, context: Context, training: TrainingOutput, data: PreprocessingOutput
    ) -> None:
        """Raises InvalidData where the rows have no such positive label."""
        super().__init__(config, context, training, data)
        self.positive = positive_index(config.positive_label or training.positive_label, data.labels)
        self.test: LabelledRows = read_labelled(context, data, "test")

    @property
    def row_count(self) -> int:
        return len(self.test.texts)

    @property
    def positive_label(self) -> str | None:
        return None if self.positive is None else self.data.labels[self.positive]

    def load(self, files: ModelFiles, base_model: str) -> LoadedClassifier:
        return load_trained(files, lambda: self.context.sources.local(base_model, "model"))

    def measure(self, model: LoadedClassifier, *, done: int) -> Measured:
        predictions: list[Prediction] = []
        for start in range(0, self.row_count, CHUNK_ROWS):
            predictions += model.predict(self.test.texts[start : start + CHUNK_ROWS], self.config.batch_size)
            self.progress(done + len(predictions))
        labels, names = self.test.labels, model.labels
        scores, predicted = scores_of(predictions, names), predicted_of(predictions, names)
        return Measured(
            value=lambda metric, rows: metric_value(
                confusion(labels[rows], predicted[rows], len(names)), metric, self.positive
            ),
            metrics=label_metrics(labels, predicted, scores, names, self.positive),
            rows=self._rows(predictions, names),
            confusion=confusion(labels, predicted, len(names)).tolist(),
            scores=scores,
            curves={
                "roc": roc_curves(labels, scores, names, self.positive),
                "calibration": [one._asdict() for one in calibration_bins(labels == predicted, scores.max(axis=1))],
            },
        )

    def reference(self, measured: Measured) -> Reference:
        return label_reference(self.training.labels, self.test.texts, measured.rows)

    def with_threshold(self, model: LoadedClassifier, measured: Measured) -> Measured:
        """Choose the threshold of two labels on the validation split; what was measured on the test split stays."""
        validation = read_labelled(self.context, self.data, "validation")
        if len(model.labels) != 2 or len(set(validation.labels.tolist())) != 2 or measured.scores is None:
            return measured
        assert self.positive is not None, "one of two labels is"
        rows = np.unique(np.linspace(0, len(validation.texts) - 1, THRESHOLD_ROWS).round().astype(int))
        predictions = model.predict([validation.texts[row] for row in rows], self.config.batch_size)
        found = find_threshold(
            model.labels[self.positive],
            ScoredRows(
                validation.labels[rows] == self.positive, scores_of(predictions, model.labels)[:, self.positive]
            ),
            ScoredRows(self.test.labels == self.positive, measured.scores[:, self.positive]),
        )
        return replace(measured, threshold=found)

    def _rows(self, predictions: list[Prediction], labels: list[str]) -> list[dict[str, Any]]:
        """Return every test row with its label and the model's answer."""
        return [
            {
                "row": number,
                "label": labels[int(label)],
                "predicted": prediction.label,
                "confidence": round(prediction.confidence, 6),
            }
            for number, label, prediction in zip(self.test.numbers, self.test.labels, predictions, strict=True)
        ]


def scores_of(predictions: list[Prediction], names: list[str]) -> np.ndarray:
    """Return probabilities, float64 of shape (rows, labels)."""
    return np.array([[answer.scores[name] for name in names] for answer in predictions], dtype=np.float64)


def predicted_of(predictions: list[Prediction], names: list[str]) -> np.ndarray:
    """Return the labels that were said, int64 of shape (rows,)."""
    index = {name: number for number, name in enumerate(names)}
    return np.array([index[answer.label] for answer in predictions], dtype=np.int64)
