"""What a decoder is trained for: the tokens of answers, given all that stands before them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from agents.base.errors import InvalidData
from agents.data.batches import NOT_LEARNED, Batch, Rows, collate, length_batches
from agents.metrics.generation import loss_metrics
from agents.models.generators.loss import learned_logits
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.objective import Objective
from agents.training.types import TrainingConfig


@dataclass(frozen=True)
class Answers(Objective):
    """Cross-entropy of each learned token given all before it; prompts carry no loss."""

    label_smoothing: float

    def weight(self, rows: Rows, parts: Sequence[np.ndarray]) -> float:
        learned = sum(
            int((rows.targets[rows.starts[row] : rows.starts[row + 1]] != NOT_LEARNED).sum())
            for part in parts
            for row in part
        )
        return float(learned)

    def loss(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        logits = learned_logits(model, batch.input_ids, batch.attention_mask, batch.targets, batch.position_ids)
        targets = batch.targets[batch.targets != NOT_LEARNED]
        return cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="sum")

    def score(self, model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        return score_answers(model, rows, batch_size=batch_size, autocast=autocast)


def make_objective(config: TrainingConfig, _data: PreprocessingOutput, train: Rows) -> Answers:
    """Return the objective of these rows.

    Raises:
        InvalidData: none of them has a token to learn.
    """
    if not (train.targets != NOT_LEARNED).any():
        raise InvalidData(
            f"None of the {len(train)} training rows has a token to learn.",
            cure="Run preprocessing again, with rows that have answers.",
        )
    return Answers(config.label_smoothing)


def score_answers(model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
    """Return `loss` (mean cross-entropy over learned tokens), `perplexity` and `exact_match` of the model on `rows`;
    it is left in training mode.

    A row matches where the likeliest token is the right one at every learned place, given the right ones before it:
    just then does always taking the likeliest token write the whole answer, so that nothing need be generated.
    """
    loss_sum, count, matches = 0.0, 0, 0
    model.eval()
    with torch.inference_mode(), torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=autocast):
        for indices in length_batches(rows.lengths, batch_size):
            batch = collate(rows, indices, model.config.pad_token_id or 0, model.device)
            logits = learned_logits(model, batch.input_ids, batch.attention_mask, batch.targets)
            learned = batch.targets != NOT_LEARNED
            targets = batch.targets[learned]
            loss_sum += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
            count += len(targets)
            wrong = torch.zeros_like(learned)
            wrong[learned] = logits.argmax(dim=1) != targets
            matches += int((~wrong.any(dim=1)).sum())
    model.train()
    return {**loss_metrics(loss_sum / max(1, count)), "exact_match": matches / len(rows)}
