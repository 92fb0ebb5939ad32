"""What training and evaluation share of decoders: the loss of the tokens that are learned, and only theirs."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from agents.data.batches import NOT_LEARNED

#: Tokens that are scored at once: each has a number for every token of the vocabulary, which is a megabyte.
SCORED_TOKENS = 2048


def learned_logits(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    targets: torch.Tensor,
    position_ids: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return float32 logits of shape (learned tokens, vocabulary), rows one after the other.

    Without a mask, rows that share a sequence are kept apart by `position_ids` that start again at 0.

    The output layer is a fifth of a small model, and most tokens are prompts: only what is learned passes through it.
    A hook picks that out before the layer, so that whatever a model does to its logits afterwards still happens.
    """
    chosen = targets != NOT_LEARNED
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][chosen].unsqueeze(0),))
    try:
        logits: torch.Tensor = model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        ).logits
    finally:
        hook.remove()
    return logits[0].float()


def text_losses(model: PreTrainedModel, sequences: Sequence[Sequence[int]], pad_token_id: int) -> NDArray[np.float64]:
    """Return of each sequence of token ids the sum of the cross-entropies of its tokens, each given all before it;
    the first has none. float64 of shape (sequences,)."""
    found = np.zeros(len(sequences))
    order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))
    for rows in _fitting(order, [len(sequences[row]) for row in order]):
        width = max(len(sequences[row]) for row in rows)
        ids = torch.full((len(rows), width), pad_token_id)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(sequences[row])] = torch.tensor(sequences[row])
            mask[place, : len(sequences[row])] = 1
        targets = torch.full_like(ids, NOT_LEARNED)
        targets[:, :-1] = torch.where(mask[:, 1:] == 1, ids[:, 1:], NOT_LEARNED)
        ids, mask, targets = (one.to(model.device) for one in (ids, mask, targets))
        with torch.inference_mode():
            logits = learned_logits(model, ids, mask, targets)
            losses = cross_entropy(logits, targets[targets != NOT_LEARNED], reduction="none").double().cpu()
        counts = [len(sequences[row]) - 1 for row in rows]
        found[rows] = np.add.reduceat(losses.numpy(), np.cumsum([0, *counts[:-1]]))
    return found


def _fitting(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """Yield rows, from short to long, in groups of as many as are scored at once."""
    group: list[int] = []
    for row, length in zip(order, lengths, strict=True):
        if group and (len(group) + 1) * length > SCORED_TOKENS:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
