"""How much memory a model takes, worked out from its files before anything is loaded: what answering needs of a GPU.

What learning needs on top is in `agents/training/estimate.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agents.base.errors import InvalidModel
from agents.models.sizes import FAULTS, read_config, weight_count

#: Of the memory that is free, to leave room for what is not counted: libraries, allocators, other processes.
USABLE_SHARE = 0.9
#: What CUDA and its libraries take for themselves in every process.
CUDA_MIB = 1024
#: A weight is loaded in float32; autocast keeps a copy in bfloat16 beside it.
WEIGHT_BYTES = 4 + 2
#: Values that pass between layers and into the cache, some of them in bfloat16.
VALUE_BYTES = 4
#: A logit of the loss as bfloat16, float32 and its logarithm: 10 bytes, for answers that are seldom half as long as
#: they may be.
LOGIT_BYTES = 8


@dataclass(frozen=True)
class ModelShape:
    """What of a base model decides its memory."""

    parameters: int
    layers: int
    width: int
    heads: int
    inner_width: int
    vocabulary: int
    key_value_width: int | None = None
    """Of a token's keys, and of its values, in one layer; None: the model's width."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `config.json` and the headers of the safetensors files: no weight is loaded.

        Raises:
            InvalidModel: one of them is not there, or is not a transformer's.
        """
        try:
            return cls.of(read_config(folder), sum(map(weight_count, folder.glob("*.safetensors"))))
        except FAULTS as fault:
            raise InvalidModel(
                f"The base model at '{folder}' has no readable config.json and safetensors: {fault}.",
                cure="Check that config.json and the weights belong together.",
            ) from fault

    @classmethod
    def of(cls, config: Mapping[str, Any], parameters: int) -> Self:
        """Return the shape by the content of `config.json`; KeyError: it is not a transformer's."""
        width = _first(config, "hidden_size", "n_embd", "dim", "d_model")
        layers = _first(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
        heads = _first(config, "num_attention_heads", "n_head", "n_heads", "num_heads")
        head_width = int(config.get("head_dim") or width // heads)
        return cls(
            parameters=parameters,
            layers=layers,
            width=width,
            heads=heads,
            inner_width=int(config.get("intermediate_size") or config.get("hidden_dim") or 4 * width),
            vocabulary=_first(config, "vocab_size"),
            key_value_width=int(config.get("num_key_value_heads") or heads) * head_width,
        )


@dataclass(frozen=True)
class Asked:
    """What goes through a model at once while it answers."""

    rows: int
    tokens: int
    """In the longest row."""
    new_tokens: int = 0
    """That a decoder writes at most; 0: a classifier."""


def answering_bytes(shape: ModelShape, asked: Asked) -> int:
    """Return what weights, activations and a decoder's cache or logits take while a model answers.

    Nothing is kept for gradients, so one layer counts: its input and norm, queries, keys, values, and the inner layer.
    A decoder either writes (its cache: keys and values of every token in every layer) or is asked for its loss
    (logits of the answer's tokens). How close this comes is in `docs/benchmarks.md`.
    """
    tokens = asked.rows * asked.tokens
    activations = tokens * VALUE_BYTES * (4 * shape.width + 3 * shape.inner_width)
    if asked.new_tokens:
        per_token = 2 * shape.layers * (shape.key_value_width or shape.width) * VALUE_BYTES
        cache = asked.rows * (asked.tokens + asked.new_tokens) * per_token
        logits = asked.rows * asked.new_tokens * shape.vocabulary * LOGIT_BYTES
        activations += max(cache, logits)
    else:
        # Not every encoder's attention is fused: scores, and what softmax makes of them.
        activations += tokens * asked.tokens * shape.heads * 2 * VALUE_BYTES
    return shape.parameters * WEIGHT_BYTES + activations


def reserved_mib(needed_bytes: int) -> int:
    """Return what to reserve on a GPU for so many bytes: some room, and CUDA's own memory, come on top."""
    return (math.ceil(needed_bytes / USABLE_SHARE) >> 20) + CUDA_MIB


def _first(config: Mapping[str, Any], *names: str) -> int:
    """Return the value of the name that this architecture uses."""
    for name in names:
        if config.get(name):
            return int(config[name])
    raise KeyError(names[0])
