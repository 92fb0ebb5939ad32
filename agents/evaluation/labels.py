"""Measuring classifiers: the labels they give, against the true ones."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.base.agent import Context
from agents.base.errors import InvalidData
from agents.data.splits import LabelledRows, read_labelled
from agents.evaluation.measure import Measure, Measured
from agents.evaluation.threshold import ScoredRows, find_threshold
from agents.metrics.calibration import calibration_bins
from agents.metrics.classification import confusion, label_metrics, metric_value, roc_curves
from agents.models.classifiers.base import Prediction
from agents.models.classifiers.torch import LoadedClassifier, load_merged, load_trained
from agents.models.files import ADAPTER_CONFIG
from agents.preprocessing.types import PreprocessingOutput
from agents.training.types import TrainingOutput

if TYPE_CHECKING:
    import numpy as np

#: Predicted between two words of progress.
CHUNK_ROWS = 256
#: So many validation rows at most are asked for the threshold: it moves little with more, and each costs a prediction.
THRESHOLD_ROWS = 2048


class LabelMeasure(Measure[LoadedClassifier]):
    """Figures of labels and of their probabilities on the test split."""

    def __init__(
        self,
        context: Context,
        training: TrainingOutput,
        data: PreprocessingOutput,
        batch_size: int,
        positive_label: str | None,
    ) -> None:
        super().__init__(context, training, batch_size)
        self.positive = positive_index(positive_label, training, data)
        self.test: LabelledRows = read_labelled(context, data, "test")
        self.data = data

    @property
    def row_count(self) -> int:
        return len(self.test.texts)

    @property
    def positive_label(self) -> str | None:
        return None if self.positive is None else self.data.labels[self.positive]

    def load(self, folder: Path, base_model: str, facts: Mapping[str, Any]) -> LoadedClassifier:
        labels, max_tokens = facts["labels"], facts["max_tokens"]
        if not (folder / ADAPTER_CONFIG).exists():
            return load_merged(folder, labels, max_tokens)
        base = self.context.sources.local(base_model, "model")
        return load_trained(folder, base, labels, max_tokens, cache_dir=self.context.sources.cache_dir)

    def measure(self, model: LoadedClassifier, weights: frozenset[str], *, done: int) -> Measured:

        predictions: list[Prediction] = []
        for start in range(0, self.row_count, CHUNK_ROWS):
            predictions += model.predict(self.test.texts[start : start + CHUNK_ROWS], self.batch_size)
            self.progress(done + len(predictions))
        labels, names = self.test.labels, model.labels
        scores, predicted = scores_of(predictions, names), predicted_of(predictions, names)
        return Measured(
            value=lambda metric, rows: metric_value(
                confusion(labels[rows], predicted[rows], len(names)), metric, self.positive
            ),
            metrics=label_metrics(labels, predicted, scores, names, self.positive),
            rows=self._rows(predictions, names),
            weights=weights,
            confusion=confusion(labels, predicted, len(names)).tolist(),
            scores=scores,
            curves={
                "roc": roc_curves(labels, scores, names, self.positive),
                "calibration": [one._asdict() for one in calibration_bins(labels == predicted, scores.max(axis=1))],
            },
        )

    def with_threshold(self, model: LoadedClassifier, measured: Measured) -> Measured:
        """Choose the threshold of two labels on the validation split; what was measured on the test split stays."""
        import numpy as np

        validation = read_labelled(self.context, self.data, "validation")
        if len(model.labels) != 2 or len(set(validation.labels.tolist())) != 2 or measured.scores is None:
            return measured
        assert self.positive is not None, "one of two labels is"
        rows = np.unique(np.linspace(0, len(validation.texts) - 1, THRESHOLD_ROWS).round().astype(int))
        predictions = model.predict([validation.texts[row] for row in rows], self.batch_size)
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


def positive_index(positive_label: str | None, training: TrainingOutput, data: PreprocessingOutput) -> int | None:
    """Return the index of the label that F1 is about: as configured, else the training's; of two labels else the rarer.
    Of more it is about none: then F1 is the mean over labels, as in training.

    Raises:
        InvalidData: the rows have no such label.
    """
    label = positive_label or training.positive_label
    if label is None:
        counts = data.splits["train"].label_counts
        rarest = min(range(len(data.labels)), key=lambda index: counts.get(data.labels[index], 0))
        return rarest if len(data.labels) == 2 else None
    if label not in data.labels:
        raise InvalidData(
            f"positive_label is '{label}', but the rows have {', '.join(data.labels)}.", cure="Name one of these."
        )
    return data.labels.index(label)


def scores_of(predictions: list[Prediction], names: list[str]) -> "np.ndarray":
    """Return probabilities, float64 of shape (rows, labels)."""
    import numpy as np

    return np.array([[answer.scores[name] for name in names] for answer in predictions], dtype=np.float64)


def predicted_of(predictions: list[Prediction], names: list[str]) -> "np.ndarray":
    """Return the labels that were said, int64 of shape (rows,)."""
    import numpy as np

    index = {name: number for number, name in enumerate(names)}
    return np.array([index[answer.label] for answer in predictions], dtype=np.int64)
