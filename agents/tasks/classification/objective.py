"""What a classifier is trained for: cross-entropy over labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from agents.base.errors import InvalidData
from agents.data.batches import Batch, Rows, collate, length_batches
from agents.metrics.classification import confusion, metric_value, positive_index
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.objective import Objective
from agents.training.types import TrainingConfig


@dataclass(frozen=True)
class Labels(Objective):
    """Cross-entropy over labels. `class_weights`: float32 of shape (labels,)."""

    class_weights: torch.Tensor
    positive: int | None
    label_smoothing: float

    def weight(self, rows: Rows, parts: Sequence[np.ndarray]) -> float:
        labels = torch.from_numpy(rows.targets)
        return sum(float(self.class_weights[labels[torch.from_numpy(part)]].sum()) for part in parts)

    def loss(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        answer = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        weights = self.class_weights.to(batch.targets.device)
        return cross_entropy(
            answer.logits.float(), batch.targets, weights, label_smoothing=self.label_smoothing, reduction="sum"
        )

    def score(self, model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        return score_labels(model, rows, batch_size=batch_size, autocast=autocast, positive=self.positive)


def make_objective(config: TrainingConfig, data: PreprocessingOutput, train: Rows) -> Labels:
    """Return the objective of these rows.

    Raises:
        InvalidData: there is nothing to learn from them, or `positive_label` is not one of the labels.
    """
    if not len(train) or len(data.labels) < 2:
        raise InvalidData(
            f"There are {len(train)} training rows with {len(data.labels)} labels to learn from.",
            cure="A classifier needs rows of two labels or more.",
        )
    count = len(data.labels)
    balanced = config.class_weights == "balanced"
    return Labels(
        class_weights=balanced_weights(train.targets, count) if balanced else torch.ones(count),
        positive=positive_index(config.positive_label, data.labels),
        label_smoothing=config.label_smoothing,
    )


def score_labels(
    model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool, positive: int | None
) -> dict[str, float]:
    """Return `loss` (mean cross-entropy), `accuracy` and `f1` of the model on `rows`; it is left in training mode.

    `positive`: index of the label that F1 is about; None: the mean of F1 over all labels.
    """
    logits = class_logits(model, rows, batch_size=batch_size, autocast=autocast)
    labels = torch.from_numpy(rows.targets)
    predicted = logits.argmax(dim=1).numpy()
    matrix = confusion(rows.targets, predicted, logits.shape[1])
    return {
        "loss": float(torch.nn.functional.cross_entropy(logits, labels)),
        "accuracy": metric_value(matrix, "accuracy", positive),
        "f1": metric_value(matrix, "f1", positive),
    }


def class_logits(model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool) -> torch.Tensor:
    """Return float32 logits of shape (rows, labels) on the CPU, in the order of `rows`."""
    device = model.device
    logits = torch.empty(len(rows), model.config.num_labels)
    model.eval()
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=autocast):
        for indices in length_batches(rows.lengths, batch_size):
            batch = collate(rows, indices, model.config.pad_token_id or 0, device)
            answer = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
            logits[torch.from_numpy(indices)] = answer.logits.float().cpu()
    model.train()
    return logits


def balanced_weights(labels: np.ndarray, label_count: int) -> torch.Tensor:
    """Return weights that make every label count the same in the loss, float32 of shape (labels,); their mean over
    rows is 1."""
    counts = np.bincount(labels, minlength=label_count).clip(min=1)
    return torch.tensor(len(labels) / (label_count * counts), dtype=torch.float32)
