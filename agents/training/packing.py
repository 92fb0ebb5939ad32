"""Packing: several rows laid end to end in one sequence, each blind to the others, instead of padding.

Positions start again at 0 with every row. transformers reads the borders off them where no attention mask is given and
keeps the rows apart (a block-diagonal mask; rows of their own lengths for FlashAttention).
"""

import numpy as np
import torch
from transformers import PreTrainedModel

from agents.base.errors import InvalidModel
from agents.data.batches import NOT_LEARNED, Batch, Rows, padded


def packed(indices: np.ndarray, lengths: np.ndarray, capacity: int) -> list[list[int]]:
    """Return rows in as few sequences of up to `capacity` tokens as first-fit-decreasing finds.

    `lengths` are those of all rows, none longer than `capacity`. A pure function of its arguments, so that resuming
    needs no more.
    """
    order = indices[np.argsort(-lengths[indices], kind="stable")]
    sequences: list[list[int]] = []
    room: list[int] = []
    for row in order.tolist():
        length = int(lengths[row])
        place = next((at for at, left in enumerate(room) if left >= length), len(room))
        if place == len(room):
            sequences.append([])
            room.append(capacity)
        sequences[place].append(row)
        room[place] -= length
    return sequences


def collate_packed(rows: Rows, indices: np.ndarray, pad_token_id: int, device: torch.device) -> Batch:
    """Return rows as tensors of shape (sequences, longest row, rounded up to a multiple of 8), with their positions.

    Each token of the padding stands for itself at position 0.
    """
    lengths = rows.lengths
    longest = int(padded(lengths[indices]).max())
    sequences = packed(indices, lengths, longest)
    shape = (len(sequences), longest)
    tokens, targets = np.full(shape, pad_token_id, np.int64), np.full(shape, NOT_LEARNED, np.int64)
    positions = np.zeros(shape, np.int64)
    for at, sequence in enumerate(sequences):
        column = 0
        for row in sequence:
            source = slice(rows.starts[row], rows.starts[row + 1])
            goal = slice(column, column + int(lengths[row]))
            tokens[at, goal], targets[at, goal] = rows.tokens[source], rows.targets[source]
            positions[at, goal] = np.arange(lengths[row])
            column = goal.stop
    return Batch(
        input_ids=torch.from_numpy(tokens).to(device, non_blocking=True),
        attention_mask=None,
        targets=torch.from_numpy(targets).to(device, non_blocking=True),
        token_count=int(lengths[indices].sum()),
        position_ids=torch.from_numpy(positions).to(device, non_blocking=True),
    )


def check_packable(model: PreTrainedModel) -> None:
    """Refuse models whose layers carry a state from token to token: rows would see each other through it.

    Raises:
        InvalidModel: it has such layers.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    kinds = set(getattr(base.config.get_text_config(), "layer_types", None) or ())
    if base._is_stateful or not kinds <= {"full_attention", "sliding_attention", "chunked_attention"}:
        raise InvalidModel(
            f"Rows can't be packed for a {type(base).__name__}: its layers carry a state from one row to the next.",
            cure="Set packing: false.",
        )
