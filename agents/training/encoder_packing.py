"""Packing for encoders: between embeddings and head the rows of a piece share sequences, and next to nothing is padded.

Embeddings and heads see rows padded as ever: positions come with the layers' input, and a head finds the first token of
each row. Between them rows are laid end to end as in `packing.py`, each blind to the others by a block-diagonal mask
(Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination").
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from transformers import PreTrainedModel

from agents.base.errors import InvalidSpec
from agents.training.packing import packed
from agents.training.types import TrainingConfig

#: Kinds of models whose layers know of positions by their input alone, and where in their bodies the layers are.
LAYERS = {
    "bert": "encoder",
    "camembert": "encoder",
    "distilbert": "transformer",
    "electra": "encoder",
    "roberta": "encoder",
    "xlm-roberta": "encoder",
}
#: Of a sequence's length. A CPU's matrix library compiles kernels for every new shape and keeps them: see
#: `docs/benchmarks.md`.
LENGTH_MULTIPLE = 32


@dataclass(frozen=True)
class Layout:
    """Where the tokens of padded rows are in sequences; all int64.

    `there`: for each place in the sequences, of shape (sequences, length), the place it is filled from among all of the
    rows; `back`: the reverse, of shape (rows, width). Where there is no token they are 0. `segments`: like `there`, the
    number of the row that each place belongs to, from 1; 0 where there is no token.
    """

    there: torch.Tensor
    back: torch.Tensor
    segments: torch.Tensor

    @classmethod
    def of(cls, tokens: torch.Tensor) -> Self:
        """`tokens`: bool of shape (rows, width), true for tokens and false for padding."""
        mask = tokens.cpu().numpy()
        lengths = mask.sum(axis=1)
        length = -(-int(lengths.max()) // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
        sequences = packed(np.arange(len(mask)), lengths, length)
        starts = np.zeros(len(mask), np.int64)
        for number, rows in enumerate(sequences):
            starts[rows] = number * length + np.cumsum(lengths[rows]) - lengths[rows]
        sources = np.flatnonzero(mask)
        row_numbers = sources // mask.shape[1]
        goals = np.arange(len(sources)) + (starts - np.cumsum(lengths) + lengths)[row_numbers]
        there, segments = np.zeros((2, len(sequences) * length), np.int64)
        back = np.zeros(mask.size, np.int64)
        there[goals], segments[goals], back[sources] = sources, row_numbers + 1, goals
        shapes = ((len(sequences), length), mask.shape, (len(sequences), length))
        found = zip((there, back, segments), shapes, strict=True)
        return cls(*(torch.from_numpy(values).view(shape).to(tokens.device) for values, shape in found))

    def attention_mask(self, dtype: torch.dtype) -> torch.Tensor:
        """Return what is added to scores, (sequences, 1, length, length): places see those of their row."""
        alike = self.segments[:, None, :, None] == self.segments[:, None, None, :]
        return alike.new_zeros((), dtype=dtype).where(alike, torch.finfo(dtype).min)


def packs_rows(model: PreTrainedModel, config: TrainingConfig, device: torch.device) -> bool:
    """Return whether the rows of this classifier share sequences. Unset, they do on CPUs.

    Raises:
        InvalidSpec: they should, but this kind of model can't.
    """
    if config.known_task.kind != "classifier" or config.packing is False:
        return False
    kind = model.config.model_type
    known = kind in LAYERS
    if config.packing and not known:
        raise InvalidSpec(
            f"packing: true is for encoders of these kinds: {', '.join(LAYERS)}; this one is {kind}.",
            cure="Leave packing out.",
        )
    return known and (config.packing is True or device.type == "cpu")


def pack_rows(model: PreTrainedModel) -> None:
    """Have an encoder's layers see rows in shared sequences. Its answers, weights and their names stay the same."""
    layers = getattr(model.base_model, LAYERS[model.config.model_type])
    layers.register_forward_pre_hook(_pack, with_kwargs=True)
    layers.register_forward_hook(_unpack, with_kwargs=True)


def _pack(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Before the first layer. Where there is no mask nothing is padded, and rows stay as they are."""
    mask = kwargs["attention_mask"]
    if mask is None:
        return args, kwargs
    states, *rest = (kwargs.pop("hidden_states"),) if "hidden_states" in kwargs else args
    layout = Layout.of(mask[:, 0, -1] == 0)
    packed_kwargs = {**kwargs, "attention_mask": layout.attention_mask(mask.dtype), "layout": layout}
    return (_taken(states, layout.there), *rest), packed_kwargs


def _unpack(_module: Any, _args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
    """After the last layer: rows again, for whatever head there is; what stands for padding is of no account."""
    if layout := kwargs.get("layout"):
        answer.last_hidden_state = _taken(answer.last_hidden_state, layout.back)
    return answer


def _taken(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the states, of shape (any, any, width), at `places`, of shape (a, b), as (a, b, width)."""
    return states.flatten(0, 1).index_select(0, places.flatten()).view(*places.shape, -1)
