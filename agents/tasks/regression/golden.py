"""What exports of models of numbers are proven on: numbers that differ by little beside how much they vary."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.metrics.regression import value_metric
from agents.models.classifiers.base import Prediction
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.classification.golden import GoldenTexts
from agents.tasks.golden import Likeness
from agents.tasks.regression.measure import read_numbered
from agents.tasks.regression.numbers import OUTPUT

#: Answers are alike that differ by no more than this share of the standard deviation of the trained model's.
ALIKE = 0.1


class GoldenNumbers(GoldenTexts):
    """Texts of the test split, then of the others. Differences are told in standard deviations of the answers."""

    def read(self, data: PreprocessingOutput, split: str) -> tuple[list[str], list[Any]]:
        rows = read_numbered(self.context, data, split)
        return rows.texts, rows.values.tolist()

    def compare(self, found: Sequence[Prediction], expected: Sequence[Prediction]) -> Likeness:
        trained = _values(expected)
        spread = float(trained.std()) or max(1.0, abs(float(trained.mean())))
        differences = np.abs(_values(found) - trained) / spread
        return Likeness(float((differences <= ALIKE).mean()), float(differences.max()))

    def value(self, answers: Sequence[Prediction]) -> float | None:
        true = np.array(self.right[: len(answers)], dtype=np.float64)
        return value_metric(true, _values(answers)[: len(true)], self.judged.metric) if len(true) else None


def _values(answers: Sequence[Prediction]) -> np.ndarray:
    return np.array([one.scores[OUTPUT] for one in answers], dtype=np.float64)
