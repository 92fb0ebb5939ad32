"""What a decoder is trained for that reads on: every token, given all that stands before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from agents.base.errors import InvalidData
from agents.data.batches import NOT_LEARNED, Batch, Rows
from agents.metrics.generation import loss_metrics
from agents.models.generators.loss import learned_logits, text_losses
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.objective import Objective
from agents.training.types import TrainingConfig


@dataclass(frozen=True)
class Tokens(Objective):
    """Cross-entropy of each token but the first of a sequence."""

    label_smoothing: float

    def weight(self, rows: Rows, parts: Sequence[np.ndarray]) -> float:
        return float(sum(int((rows.lengths[part] - 1).sum()) for part in parts))

    def loss(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        logits = learned_logits(model, batch.input_ids, batch.attention_mask, batch.targets, batch.position_ids)
        targets = batch.targets[batch.targets != NOT_LEARNED]
        return cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="sum")

    def score(self, model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        """See `Objective`; as many rows at once as `text_losses` takes."""
        sequences = [rows.tokens[rows.starts[row] : rows.starts[row + 1]].tolist() for row in range(len(rows))]
        model.eval()
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=autocast):
            losses = text_losses(model, sequences, model.config.pad_token_id or 0)
        model.train()
        return loss_metrics(float(losses.sum()) / max(1, int((rows.lengths - 1).sum())))


def make_objective(config: TrainingConfig, _data: PreprocessingOutput, train: Rows) -> Tokens:
    """Return the objective of these rows.

    Raises:
        InvalidData: there are none.
    """
    if not len(train):
        raise InvalidData("There is no text to learn.", cure="Check the rows of the dataset node.")
    return Tokens(config.label_smoothing)
