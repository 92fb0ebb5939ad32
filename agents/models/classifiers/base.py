"""What every classifier in memory answers, whichever runtime is behind it; imports no runtime."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol


class Prediction(NamedTuple):
    """One answer: `scores` has the probability of every label and sums to 1."""

    label: str
    confidence: float
    scores: dict[str, float]


class Runs(NamedTuple):
    """How a model is best run: calls of `predict` at a time, each in a thread, and texts in one call."""

    at_once: int
    texts_most: int


class Classifier(Protocol):
    """A model that answers. `max_tokens`: how many tokens of a text it reads, special ones included."""

    @property
    def labels(self) -> list[str]: ...

    @property
    def max_tokens(self) -> int: ...

    @property
    def runs(self) -> Runs: ...

    def predict(self, texts: Sequence[str], batch_size: int = ...) -> list[Prediction]:
        """Return a prediction for each text, in order. Texts are cleaned and cut to `max_tokens` as in training."""
        ...


Probabilities = Callable[[list[list[int]]], list[list[float]]]


def predict_in_batches(
    labels: list[str],
    token_ids: list[list[int]],
    batch_size: int,
    probabilities: Probabilities,
) -> list[Prediction]:
    """Return a prediction for each row of `token_ids`; `probabilities` gives those of every label for some rows."""
    # Rows of like length share a batch, so that little of it is padding.
    order = sorted(range(len(token_ids)), key=lambda row: len(token_ids[row]))
    predictions: dict[int, Prediction] = {}
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        for row, scores in zip(rows, probabilities([token_ids[row] for row in rows]), strict=True):
            predictions[row] = prediction_of(labels, scores)
    return [predictions[row] for row in range(len(token_ids))]


def prediction_of(labels: Sequence[str], scores: Sequence[float]) -> Prediction:
    """Return the prediction that the scores of all labels, in their order, come to."""
    best = max(range(len(scores)), key=scores.__getitem__)
    return Prediction(labels[best], scores[best], dict(zip(labels, scores, strict=True)))
