"""What a task is trained for: the loss of a batch, and how good a model is on a split."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from agents.data.batches import Batch, Rows


class Objective(ABC):
    """The loss of a step is the sum over its pieces divided by their weight: however it is cut, it is the same."""

    @abstractmethod
    def weight(self, rows: Rows, parts: Sequence[np.ndarray]) -> float:
        """Return what the summed loss of these rows is divided by."""

    @abstractmethod
    def loss(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        """Return the summed loss of a batch; autocast is on where it shall be."""

    @abstractmethod
    def score(self, model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        """Return `loss` and other figures of the model on `rows`; it is left in training mode."""
