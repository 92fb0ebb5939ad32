"""What the outputs of a classifier's head mean: probabilities of one label, of each of several, or a number."""

from typing import Literal

from agents.base.records import Record

Outputs = Literal["label", "labels", "number"]
#: transformers' names, as `problem_type` in a model's config.
PROBLEM_TYPES: dict[Outputs, str] = {
    "label": "single_label_classification",
    "labels": "multi_label_classification",
    "number": "regression",
}
#: From which probability on a label of several is given, where no other was chosen.
HALF = 0.5


class Head(Record):
    """How a model's outputs become its answers."""

    outputs: Outputs = "label"
    thresholds: dict[str, float] = {}
    """Of several labels: label -> the probability from which on it is given; the others are given from a half on."""

    @property
    def problem_type(self) -> str:
        return PROBLEM_TYPES[self.outputs]

    def threshold(self, label: str) -> float:
        return self.thresholds.get(label, HALF)


ONE_LABEL = Head()
