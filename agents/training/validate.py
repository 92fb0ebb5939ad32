"""How good a model is on a split: loss, and accuracy and F1 of labels or perplexity of answers."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agents.models.generators.loss import NOT_LEARNED, learned_logits
from agents.training.data import Rows, collate, length_batches

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel


def score_labels(
    model: "PreTrainedModel", rows: Rows, *, batch_size: int, autocast: bool, positive: int | None
) -> dict[str, float]:
    """Return `loss` (mean cross-entropy), `accuracy` and `f1` of the model on `rows`; it is left in training mode.

    `positive`: index of the label that F1 is about; None: the mean of F1 over all labels.
    """
    import torch
    from sklearn.metrics import f1_score

    logits = class_logits(model, rows, batch_size=batch_size, autocast=autocast)
    labels = torch.from_numpy(rows.targets)
    predicted = logits.argmax(dim=1).numpy()
    every = {"labels": list(range(logits.shape[1])), "average": "macro"}
    target = every if positive is None else {"labels": [positive], "average": "macro"}
    return {
        "loss": float(torch.nn.functional.cross_entropy(logits, labels)),
        "accuracy": float((predicted == rows.targets).mean()),
        "f1": float(f1_score(rows.targets, predicted, zero_division=0.0, **target)),
    }


def score_answers(model: "PreTrainedModel", rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
    """Return `loss` (mean cross-entropy over learned tokens), `perplexity` and `exact_match` of the model on `rows`;
    it is left in training mode.

    A row matches where the likeliest token is the right one at every learned place, given the right ones before it:
    just then does always taking the likeliest token write the whole answer, so that nothing need be generated.
    """
    import torch

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
    loss = loss_sum / max(1, count)
    # A loss of 700 and more has a perplexity that no number holds.
    return {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "exact_match": matches / len(rows)}


def class_logits(model: "PreTrainedModel", rows: Rows, *, batch_size: int, autocast: bool) -> "torch.Tensor":
    """Return float32 logits of shape (rows, labels) on the CPU, in the order of `rows`."""
    import torch

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


def rank(figures: Mapping[str, float], metric: str) -> list[float]:
    """Return what decides between two validations, larger is better; equal scores fall to the lower loss."""
    return [-figures["loss"]] if metric == "loss" else [figures[metric], -figures["loss"]]


def balanced_weights(labels: "np.ndarray", label_count: int) -> "torch.Tensor":
    """Return weights that make every label count the same in the loss, float32 of shape (labels,); their mean over
    rows is 1."""
    import numpy as np
    import torch

    counts = np.bincount(labels, minlength=label_count).clip(min=1)
    return torch.tensor(len(labels) / (label_count * counts), dtype=torch.float32)
