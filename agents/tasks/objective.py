"""What a task is trained for: the loss of a batch, and how good a model is on a split."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from agents.base.loading import load_object
from agents.data.batches import Batch, Rows
from agents.preprocessing.types import PreprocessingOutput
from agents.training.types import TrainingConfig


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

    def facts(self) -> dict[str, float]:
        """Return what of the rows the loss was made by, as hyperparameters are told."""
        return {}

    def check(self, model: PreTrainedModel) -> None:  # noqa: B027
        """Refuse a model that can't learn this, before it begins to.

        Raises:
            InvalidModel: it can't.
        """

    def finish(self, model: PreTrainedModel) -> None:  # noqa: B027
        """Put into the trained weights what was apart from them only for learning.

        Raises:
            InvalidModel: the model has no place for it.
        """


def make_objective(config: TrainingConfig, data: PreprocessingOutput, train: Rows) -> Objective:
    """Return the objective of the configured task.

    Raises:
        InvalidData: there is nothing to learn from the rows, or they have no such label as is configured.
    """
    found: Objective = load_object(config.known_task.objective)(config, data, train)
    return found
