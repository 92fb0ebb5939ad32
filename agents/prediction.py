"""What every classifier in memory answers, whichever runtime is behind it; imports no runtime."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple, Protocol


class Prediction(NamedTuple):
    """One answer: `scores` has the probability of every label and sums to 1."""

    label: str
    confidence: float
    scores: dict[str, float]


class Classifier(Protocol):
    """A model that answers. `max_tokens`: how many tokens of a text it reads, special ones included."""

    @property
    def labels(self) -> list[str]: ...

    @property
    def max_tokens(self) -> int: ...

    def predict(self, texts: Sequence[str], batch_size: int = ...) -> list[Prediction]:
        """Return a prediction for each text, in order. Texts are cleaned and cut to `max_tokens` as in training."""
        ...


Probabilities = Callable[[list[list[int]]], list[list[float]]]


def predict_in_batches(
    labels: list[str],
    token_ids: list[list[int]],
    batch_size: int,
    probabilities: Probabilities,
    pool: Executor | None = None,
) -> list[Prediction]:
    """Return a prediction for each row of `token_ids`; `probabilities` gives those of every label for some rows.

    `pool`: where to run several batches at a time.
    """
    # Rows of like length share a batch, so that little of it is padding.
    order = sorted(range(len(token_ids)), key=lambda row: len(token_ids[row]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    inputs = [[token_ids[row] for row in rows] for rows in batches]
    # A batch that is alone is run right here: a change of thread costs more than it could give.
    answered = pool.map(probabilities, inputs) if pool and len(inputs) > 1 else map(probabilities, inputs)
    predictions: dict[int, Prediction] = {}
    for rows, found in zip(batches, answered, strict=True):
        predictions.update((row, _prediction(labels, scores)) for row, scores in zip(rows, found, strict=True))
    return [predictions[row] for row in range(len(token_ids))]


def _prediction(labels: list[str], scores: list[float]) -> Prediction:
    best = max(range(len(scores)), key=scores.__getitem__)
    return Prediction(labels[best], scores[best], dict(zip(labels, scores, strict=True)))
