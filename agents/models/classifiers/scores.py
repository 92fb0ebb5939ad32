"""Logits as scores, the same for every runtime: probabilities, or the number itself."""

import numpy as np
from numpy.typing import NDArray

from agents.models.heads import Outputs


def scores_of(outputs: Outputs, logits: NDArray[np.float32]) -> list[list[float]]:
    """Return a score for each label of each row. `logits`: of shape (rows, labels)."""
    if outputs == "number":
        found = logits
    elif outputs == "labels":
        found = sigmoid(logits)
    else:
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        found = exponentials / exponentials.sum(axis=-1, keepdims=True)
    scores: list[list[float]] = found.tolist()
    return scores


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities; of `exp` only values up to 1 are taken, so that none overflows."""
    small = np.exp(-np.abs(logits))
    found: NDArray[np.float32] = np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    return found
