"""What training and evaluation share of decoders: the loss of answers' tokens, and only theirs."""

import torch
from transformers import PreTrainedModel

from agents.data.batches import NOT_LEARNED


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
