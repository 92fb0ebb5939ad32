"""Measuring classifiers: the labels they give, against the true ones."""

from dataclasses import replace
from typing import Any

import numpy as np

from agents.base.agent import Context
from agents.evaluation.types import EvaluationConfig
from agents.formats.manifest import Manifest
from agents.metrics.calibration import calibrate, calibration_bins, tempered
from agents.metrics.classification import (
    confusion,
    label_metrics,
    metric_size,
    metric_value,
    positive_index,
    roc_curves,
)
from agents.metrics.reference import label_reference
from agents.metrics.threshold import ScoredRows, find_threshold
from agents.metrics.types import Reference, Threshold
from agents.models.classifiers.base import Classifier, Prediction, calibrated, prediction_of
from agents.models.classifiers.linear import WEIGHTS_FILE
from agents.models.classifiers.linear import load as load_linear
from agents.models.classifiers.torch import load_trained
from agents.models.files import ModelFiles
from agents.models.heads import ONE_LABEL
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.measure import Measure, Measured
from agents.tasks.splits import LabelledRows, read_labelled
from agents.training.types import TrainingOutput

#: Predicted between two reports of progress.
CHUNK_ROWS = 256
#: So many validation rows at most are asked for temperature and threshold: they move little with more, and each costs a
#: prediction.
VALIDATION_ROWS = 2048


class LabelMeasure(Measure[Classifier]):
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

    def load(self, files: ModelFiles, base_model: str) -> Classifier:
        if (files.folder / WEIGHTS_FILE).exists():
            return load_linear(files)
        return load_trained(files, lambda: self.context.sources.local(base_model, "model"))

    def measure(self, model: Classifier, *, done: int) -> Measured:
        predictions: list[Prediction] = []
        for start in range(0, self.row_count, CHUNK_ROWS):
            predictions += model.predict(self.test.texts[start : start + CHUNK_ROWS], self.config.batch_size)
            self.progress(done + len(predictions))
        return self._measured(predictions)

    def _measured(self, predictions: list[Prediction]) -> Measured:
        # The rows' names and not the model's: a champion's may stand in another order.
        labels, names = self.test.labels, self.data.labels
        scores, predicted = scores_of(predictions, names), predicted_of(predictions, names)
        return Measured(
            value=lambda metric, rows: metric_value(
                confusion(labels[rows], predicted[rows], len(names)), metric, self.positive
            ),
            metrics=label_metrics(labels, predicted, scores, names, self.positive),
            rows=self._rows(predictions, names),
            confusion=confusion(labels, predicted, len(names)).tolist(),
            scores=scores,
            strata=labels,
            size=lambda metric: metric_size(confusion(labels, predicted, len(names)), metric, self.positive),
            curves={
                "roc": roc_curves(labels, scores, names, self.positive),
                "calibration": [one._asdict() for one in calibration_bins(labels == predicted, scores.max(axis=1))],
            },
        )

    def as_served(self, model: Classifier, manifest: Manifest) -> Classifier:
        return calibrated(model, manifest.calibration.temperature if manifest.calibration else None)

    def reference(self, measured: Measured) -> Reference:
        return label_reference(self.training.labels, self.test.texts, measured.rows)

    def with_threshold(self, model: Classifier, measured: Measured) -> Measured:
        """Choose temperature and, of two labels, threshold on the validation split; figures of labels stay."""
        validation, names = read_labelled(self.context, self.data, "validation"), self.data.labels
        if not validation.texts or measured.scores is None:
            return measured
        rows = np.unique(np.linspace(0, len(validation.texts) - 1, VALIDATION_ROWS).round().astype(int))
        predictions = model.predict([validation.texts[row] for row in rows], self.config.batch_size)
        labels, scores = validation.labels[rows], scores_of(predictions, names)
        calibration = calibrate((labels, scores), (self.test.labels, measured.scores))
        if calibration is not None:
            scores, after = (tempered(each, calibration.temperature) for each in (scores, measured.scores))
            measured = self._measured([prediction_of(names, row, ONE_LABEL) for row in after.tolist()])
        return replace(measured, calibration=calibration, threshold=self._threshold(labels, scores, measured))

    def _threshold(self, labels: np.ndarray, scores: np.ndarray, measured: Measured) -> Threshold | None:
        """Return the threshold of two labels by rows of the validation split, where it has both."""
        if len(self.data.labels) != 2 or len(set(labels.tolist())) != 2 or measured.scores is None:
            return None
        assert self.positive is not None, "one of two labels is"
        return find_threshold(
            self.data.labels[self.positive],
            ScoredRows(labels == self.positive, scores[:, self.positive]),
            ScoredRows(self.test.labels == self.positive, measured.scores[:, self.positive]),
        )

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
