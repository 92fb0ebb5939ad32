"""What a model of several labels is trained for: binary cross-entropy of each label, as a mean over labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from transformers import PreTrainedModel

from agents.base.errors import InvalidData
from agents.data.batches import Batch, Rows
from agents.metrics.multi_label import given_at_best, set_metric
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.classification.objective import class_logits
from agents.tasks.objective import Objective
from agents.training.types import TrainingConfig


@dataclass(frozen=True)
class LabelSets(Objective):
    """Binary cross-entropy; each label is given or not, whatever the others are."""

    def weight(self, rows: Rows, parts: Sequence[np.ndarray]) -> float:
        return float(sum(map(len, parts)))

    def loss(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.float()
        summed: torch.Tensor = cross_entropy(logits, batch.targets, reduction="sum")
        found: torch.Tensor = summed / logits.shape[1]
        return found

    def score(self, model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        """See `Objective`; thresholds are chosen on these rows, so that figures are of the kind that evaluation has."""
        logits = class_logits(model, rows, batch_size=batch_size, autocast=autocast)
        true = rows.targets > 0
        given = given_at_best(true, logits.sigmoid().double().numpy())
        return {
            "loss": float(cross_entropy(logits, torch.from_numpy(rows.targets))),
            **{metric: set_metric(true, given, metric) for metric in ("micro_f1", "macro_f1")},
        }


def make_objective(_config: TrainingConfig, _data: PreprocessingOutput, train: Rows) -> LabelSets:
    """Return the objective of these rows.

    Raises:
        InvalidData: none of them has a label.
    """
    if not len(train) or not train.targets.any():
        raise InvalidData(
            f"None of the {len(train)} training rows has a label: there is nothing to learn.",
            cure="A model of several labels needs rows that have some.",
        )
    return LabelSets()
