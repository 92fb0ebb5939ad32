"""What every classifier in memory answers, whichever runtime is behind it; imports no runtime."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from agents.models.heads import ONE_LABEL, Head

#: Digits of a number that is told as text.
VALUE_DIGITS = 6


class Prediction(NamedTuple):
    """One answer: `scores` has the probability of every label, of one label to be chosen they sum to 1; or a number."""

    label: str
    """The likeliest label, or all that are given, or the number, as text."""
    confidence: float
    """The probability of the label; of several that of the least likely decision; of a number 0."""
    scores: dict[str, float]
    labels: tuple[str, ...] | None = None
    """Of several labels those that are given, in the order of the model's labels."""
    value: float | None = None
    """The number, where that is the answer."""

    @property
    def is_finite(self) -> bool:
        return all(map(math.isfinite, self.scores.values()))

    @property
    def counted(self) -> Sequence[str]:
        """The names that it counts under: a number counts as one, whatever its value."""
        if self.value is not None:
            return tuple(self.scores)
        return (self.label,) if self.labels is None else self.labels

    def as_record(self) -> dict[str, Any]:
        """Return it as a JSON object; fields that its task doesn't have are absent."""
        found: dict[str, Any] = {"label": self.label, "confidence": self.confidence, "scores": self.scores}
        if self.labels is not None:
            found["labels"] = list(self.labels)
        return found if self.value is None else {**found, "value": self.value}


class Runs(NamedTuple):
    """How a model is best run: calls of `predict` at a time, each in a thread, and texts in one call."""

    at_once: int
    texts_most: int


class Classifier(Protocol):
    """A model that answers. `max_tokens`: how many tokens of a text it reads, special ones included."""

    @property
    def labels(self) -> list[str]: ...

    @property
    def head(self) -> Head: ...

    @property
    def max_tokens(self) -> int: ...

    @property
    def runs(self) -> Runs: ...

    def predict(self, texts: Sequence[str], batch_size: int = ...) -> list[Prediction]:
        """Return a prediction for each text, in order. Texts are cleaned and cut to `max_tokens` as in training."""
        ...


Scores = Callable[[list[list[int]]], list[list[float]]]


def predict_in_batches(
    labels: list[str], head: Head, token_ids: list[list[int]], batch_size: int, scores_of: Scores
) -> list[Prediction]:
    """Return a prediction for each row of `token_ids`; `scores_of` gives those of every label for some rows."""
    # Rows of like length share a batch, so that little of it is padding.
    order = sorted(range(len(token_ids)), key=lambda row: len(token_ids[row]))
    predictions: dict[int, Prediction] = {}
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        for row, scores in zip(rows, scores_of([token_ids[row] for row in rows]), strict=True):
            predictions[row] = prediction_of(labels, scores, head)
    return [predictions[row] for row in range(len(token_ids))]


def prediction_of(labels: Sequence[str], scores: Sequence[float], head: Head) -> Prediction:
    """Return the prediction that the scores of all labels, in their order, come to."""
    by_label = dict(zip(labels, scores, strict=True))
    if head.outputs == "number":
        return Prediction(f"{scores[0]:.{VALUE_DIGITS}g}", 0.0, by_label, value=scores[0])
    if head.outputs == "labels":
        given = tuple(label for label, score in by_label.items() if score >= head.threshold(label))
        least = min((by_label[label] for label in given), default=1 - max(scores))
        return Prediction(", ".join(given), least, by_label, labels=given)
    best = max(range(len(scores)), key=scores.__getitem__)
    return Prediction(labels[best], scores[best], by_label)


@dataclass(frozen=True)
class CalibratedClassifier:
    """A classifier that is as sure as it is right: its probabilities at a temperature. Labels stay as they are."""

    model: Classifier
    temperature: float

    @property
    def labels(self) -> list[str]:
        return self.model.labels

    @property
    def max_tokens(self) -> int:
        return self.model.max_tokens

    @property
    def head(self) -> Head:
        return self.model.head

    @property
    def runs(self) -> Runs:
        return self.model.runs

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[Prediction]:
        """Return a prediction for each text, in order. Texts are cleaned and cut to `max_tokens` as in training."""
        found = self.model.predict(texts) if batch_size is None else self.model.predict(texts, batch_size)
        return [self._tempered(one) for one in found]

    def _tempered(self, found: Prediction) -> Prediction:
        powers = [score ** (1 / self.temperature) for score in found.scores.values()]
        total = sum(powers)
        return prediction_of(list(found.scores), [power / total for power in powers], ONE_LABEL)


def calibrated(model: Classifier, temperature: float | None) -> Classifier:
    """Return a classifier at a temperature; as it is where there is none."""
    return model if temperature in {None, 1.0} else CalibratedClassifier(model, float(temperature or 1.0))
