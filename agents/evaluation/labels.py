"""Measuring classifiers: the labels they give, against the true ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.base.contract import Context
from agents.base.errors import InvalidData
from agents.classifier import LoadedClassifier, load_merged, load_trained
from agents.evaluation.measure import Measure, Measured
from agents.gate import confusion, worst_difference
from agents.models import ADAPTER_CONFIG
from agents.outputs import PreprocessingOutput, TrainingOutput
from agents.prediction import Prediction
from agents.splits import TestRows, read_test

if TYPE_CHECKING:
    import numpy as np

#: Predicted between two words of progress.
CHUNK_ROWS = 256


class LabelMeasure(Measure[LoadedClassifier]):
    """Accuracy, precision, recall and F1 on the test split."""

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
        self.test: TestRows = read_test(context, data)

    @property
    def row_count(self) -> int:
        return len(self.test.texts)

    def load(self, folder: Path, base_model: str, facts: Mapping[str, Any]) -> LoadedClassifier:
        labels, max_tokens = facts["labels"], facts["max_tokens"]
        if not (folder / ADAPTER_CONFIG).exists():
            return load_merged(folder, labels, max_tokens)
        base = self.context.sources.local(base_model, "model")
        return load_trained(folder, base, labels, max_tokens, cache_dir=self.context.sources.cache_dir)

    def measure(self, model: LoadedClassifier, weights: frozenset[str], *, done: int) -> Measured:
        import numpy as np

        predictions: list[Prediction] = []
        for start in range(0, self.row_count, CHUNK_ROWS):
            predictions += model.predict(self.test.texts[start : start + CHUNK_ROWS], self.batch_size)
            self.progress(done + len(predictions))
        index = {label: number for number, label in enumerate(model.labels)}
        predicted = np.array([index[prediction.label] for prediction in predictions], dtype=np.int64)
        return Measured(
            outcome=predicted,
            metrics=figures(self.test.labels, predicted, model.labels, self.positive),
            rows=self._rows(predictions, model.labels),
            weights=weights,
            confusion=confusion(self.test.labels, predicted, len(model.labels)).tolist(),
        )

    def worst_difference(self, ours: Measured, champion: Measured, metric: str) -> float:
        count = len(self.training.labels)
        return worst_difference(self.test.labels, ours.outcome, champion.outcome, metric, self.positive, count)

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


def positive_index(positive_label: str | None, training: TrainingOutput, data: PreprocessingOutput) -> int:
    """Return the index of the label that F1 is about: as configured, else the training's, else the rarest.

    Raises:
        InvalidData: the rows have no such label.
    """
    counts = data.splits["train"].label_counts
    label = positive_label or training.positive_label or min(data.labels, key=lambda name: counts.get(name, 0))
    if label not in data.labels:
        raise InvalidData(
            f"positive_label is '{label}', but the rows have {', '.join(data.labels)}.", cure="Name one of these."
        )
    return data.labels.index(label)


def figures(labels: "np.ndarray", predicted: "np.ndarray", names: list[str], positive: int) -> dict[str, float]:
    """Return accuracy, and precision, recall and F1 of the positive label, of each label, and their means."""
    from sklearn.metrics import precision_recall_fscore_support

    options = {"labels": range(len(names)), "zero_division": 0.0}
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average=None, **options)
    found = {
        "accuracy": float((labels == predicted).mean()),
        "precision": float(precision[positive]),
        "recall": float(recall[positive]),
        "f1": float(f1[positive]),
        "macro_f1": float(f1.mean()),
    }
    for index, name in enumerate(names):
        found |= {
            f"precision.{name}": float(precision[index]),
            f"recall.{name}": float(recall[index]),
            f"f1.{name}": float(f1[index]),
        }
    return found
