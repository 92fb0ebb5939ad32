"""What a model of numbers is trained for: to come near them, by Huber's loss on standardised numbers.

Heads start near 0 and learn at a rate that is right for values of about 1, so what is learned is how many standard
deviations a number lies from the mean. In the end mean and deviation go into the head: whatever runs the model
answers with the numbers themselves. Source of the loss: Huber, "Robust Estimation of a Location Parameter" (1964).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import huber_loss
from transformers import PreTrainedModel

from agents.base.errors import InvalidData, InvalidModel
from agents.data.batches import Batch, Rows
from agents.metrics.regression import value_metrics
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.classification.objective import class_logits
from agents.tasks.objective import Objective
from agents.training.types import TrainingConfig


@dataclass(frozen=True)
class Numbers(Objective):
    """Huber's loss, quadratic up to one standard deviation. `mean`, `scale`: of the training rows' numbers."""

    mean: float
    scale: float

    def weight(self, rows: Rows, parts: Sequence[np.ndarray]) -> float:
        return float(sum(map(len, parts)))

    def loss(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.float()
        return huber_loss(logits[:, 0], self._standardised(batch.targets), reduction="sum")

    def score(self, model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        logits = class_logits(model, rows, batch_size=batch_size, autocast=autocast)[:, 0]
        loss = float(huber_loss(logits, self._standardised(torch.from_numpy(rows.targets))))
        values = logits.double().numpy() * self.scale + self.mean
        return {"loss": loss, **value_metrics(rows.targets.astype(np.float64), values)}

    def facts(self) -> dict[str, float]:
        return {"target_mean": self.mean, "target_scale": self.scale}

    def finish(self, model: PreTrainedModel) -> None:
        """Put mean and scale into the head.

        Raises:
            InvalidModel: it has no bias to add the mean to.
        """
        head = _head(model)
        with torch.no_grad():
            head.weight.mul_(self.scale)
            head.bias.mul_(self.scale).add_(self.mean)

    def check(self, model: PreTrainedModel) -> None:
        _head(model)

    def _standardised(self, targets: torch.Tensor) -> torch.Tensor:
        return ((targets.double() - self.mean) / self.scale).float()


def make_objective(_config: TrainingConfig, _data: PreprocessingOutput, train: Rows) -> Numbers:
    """Return the objective of these rows.

    Raises:
        InvalidData: all of them have one number.
    """
    values = train.targets.astype(np.float64)
    if not len(values) or np.ptp(values) == 0:
        raise InvalidData(
            f"All {len(values)} training rows have the same number: there is nothing to learn.",
            cure="A model of numbers needs rows of different ones.",
        )
    return Numbers(float(values.mean()), float(values.std()))


def _head(model: PreTrainedModel) -> nn.Linear:
    """Return the trained layer that gives the number. Raises InvalidModel: there is none, or it has no bias."""
    found = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.weight.requires_grad
        # An adapter of rank 1 has layers with one output, too.
        if module.out_features == 1 and ".lora_" not in name
    ]
    if not found or found[-1].bias is None:
        raise InvalidModel(
            f"The head of a {type(model).__name__} has no bias, which a model of numbers needs.",
            cure="Name an encoder (BERT, RoBERTa, MPNet, ModernBERT ...) as the model.",
        )
    return found[-1]
