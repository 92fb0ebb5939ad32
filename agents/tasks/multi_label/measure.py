"""Measuring models of several labels: thresholds chosen on the validation split, figures of the test split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agents.base.agent import Context
from agents.evaluation.types import EvaluationConfig
from agents.metrics.multi_label import THRESHOLD_ROWS, choose_thresholds, set_metric, set_metrics
from agents.metrics.reference import label_reference
from agents.metrics.types import Reference
from agents.models.classifiers.base import Prediction
from agents.models.classifiers.torch import LoadedClassifier, load_trained
from agents.models.files import ModelFiles
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.measure import Measure, Measured
from agents.tasks.splits import read_texts
from agents.training.types import TrainingOutput

#: Predicted between two reports of progress.
CHUNK_ROWS = 256


@dataclass(frozen=True)
class LabelSetRows:
    """`numbers` are the rows' numbers in the source; `labels` is bool of shape (rows, labels)."""

    numbers: list[int]
    texts: list[str]
    labels: np.ndarray

    def spread(self, at_most: int) -> "LabelSetRows":
        """Return some of the rows, spread evenly."""
        rows = np.unique(np.linspace(0, len(self.texts) - 1, at_most).round().astype(int))
        return LabelSetRows([self.numbers[row] for row in rows], [self.texts[row] for row in rows], self.labels[rows])


def read_label_sets(context: Context, data: PreprocessingOutput, split: str) -> LabelSetRows:
    """Return a split of texts with their labels, in its order, checked against its digest."""
    numbers, texts, labels = read_texts(context, data, split, "labels")
    return LabelSetRows(numbers, texts, np.array(labels, dtype=bool).reshape(len(texts), len(data.labels)))


class LabelSetMeasure(Measure[LoadedClassifier]):
    """Figures of the labels that are given. A model that comes without thresholds gets them from the validation split;
    the champion has its own."""

    def __init__(
        self, config: EvaluationConfig, context: Context, training: TrainingOutput, data: PreprocessingOutput
    ) -> None:
        super().__init__(config, context, training, data)
        self.test = read_label_sets(context, data, "test")

    @property
    def row_count(self) -> int:
        return len(self.test.texts)

    def load(self, files: ModelFiles, base_model: str) -> LoadedClassifier:
        loaded = load_trained(files, lambda: self.context.sources.local(base_model, "model"))
        if loaded.head.thresholds:
            return loaded
        validation = read_label_sets(self.context, self.data, "validation").spread(THRESHOLD_ROWS)
        scores = scores_of(loaded.predict(validation.texts, self.config.batch_size), loaded.labels)
        chosen = choose_thresholds(validation.labels, scores, loaded.labels)
        self.context.log("thresholds_chosen", validation_rows=len(validation.texts), thresholds=rounded(chosen))
        return replace(loaded, head=loaded.head.model_copy(update={"thresholds": chosen}))

    def measure(self, model: LoadedClassifier, *, done: int) -> Measured:
        predictions: list[Prediction] = []
        for start in range(0, self.row_count, CHUNK_ROWS):
            predictions += model.predict(self.test.texts[start : start + CHUNK_ROWS], self.config.batch_size)
            self.progress(done + len(predictions))
        true, scores = self.test.labels, scores_of(predictions, model.labels)
        given = given_of(predictions, model.labels)
        names = np.array(model.labels, dtype=object)
        return Measured(
            value=lambda metric, rows: set_metric(true[rows], given[rows], metric),
            metrics=set_metrics(true, given, scores, model.labels),
            rows=[
                {
                    "row": number,
                    "labels": names[labels].tolist(),
                    "predicted": list(one.labels or ()),
                    "confidence": round(one.confidence, 6),
                }
                for number, labels, one in zip(self.test.numbers, true, predictions, strict=True)
            ],
            scores=scores,
            thresholds=model.head.thresholds,
        )

    def reference(self, measured: Measured) -> Reference:
        return label_reference(self.training.labels, self.test.texts, measured.rows)


def scores_of(predictions: Sequence[Prediction], names: Sequence[str]) -> np.ndarray:
    """Return probabilities, float64 of shape (rows, labels)."""
    found = [[one.scores[name] for name in names] for one in predictions]
    return np.array(found, dtype=np.float64).reshape(len(predictions), len(names))


def given_of(predictions: Sequence[Prediction], names: Sequence[str]) -> np.ndarray:
    """Return which labels were given, bool of shape (rows, labels)."""
    found = [[name in (one.labels or ()) for name in names] for one in predictions]
    return np.array(found, dtype=bool).reshape(len(predictions), len(names))


def rounded(thresholds: dict[str, float]) -> dict[str, float]:
    return {label: round(value, 4) for label, value in thresholds.items()}
