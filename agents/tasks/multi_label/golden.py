"""What exports of models of several labels are proven on: the same decision about each label of each text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.metrics.multi_label import set_metric
from agents.models.classifiers.base import Prediction
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.classification.golden import GoldenTexts
from agents.tasks.golden import Likeness
from agents.tasks.multi_label.measure import given_of, read_label_sets, scores_of


class GoldenLabelSets(GoldenTexts):
    """Texts of the test split, then of the others; what agrees is counted label by label."""

    def read(self, data: PreprocessingOutput, split: str) -> tuple[list[str], list[Any]]:
        rows = read_label_sets(self.context, data, split)
        return rows.texts, list(rows.labels)

    def compare(self, found: Sequence[Prediction], expected: Sequence[Prediction]) -> Likeness:
        names = self.training.labels
        same = given_of(found, names) == given_of(expected, names)
        return Likeness(float(same.mean()), float(np.abs(scores_of(found, names) - scores_of(expected, names)).max()))

    def value(self, answers: Sequence[Prediction]) -> float | None:
        true = self.right[: len(answers)]
        if not true:
            return None
        given = given_of(answers, self.training.labels)[: len(true)]
        return set_metric(np.array(true), given, self.judged.metric)
