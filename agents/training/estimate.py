"""How much memory a training needs, worked out before anything is loaded, and what would fit where it does not.

Weights, gradients and AdamW's two moments are counted; activations follow Korthikanti et al. 2022 ("Reducing
Activation Recomputation in Large Transformer Models", equation 2): per layer and token `34 h + 5 a s` bytes at two
bytes a value, for width h, a heads and s tokens a row. A decoder's logits come on top, in float32, twice; and today's
decoders keep more than the GPT of that paper: a stream and norms in float32 under autocast, rotated queries and keys, a
gated inner layer.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from agents.base.errors import InvalidSpec, NoSpace
from agents.models.memory import USABLE_SHARE, ModelShape, reserved_mib
from agents.training.types import TrainingConfig

#: Bytes of activations per layer and token: for each of the width, and for each head and token of the row.
ENCODER_BYTES = (34, 5)
DECODER_BYTES = (80, 6)
#: NF4 with double quantisation (Dettmers et al. 2023): 4 bits a weight and 0.127 for its constants.
QLORA_BYTES = 4.127 / 8
#: What a CPU's matrix library compiles for every shape and keeps, and holes in memory that a process keeps.
CPU_BYTES = 256 << 20
#: Tokenizers and rows.
OTHER_FILES_BYTES = 64 << 20


@dataclass(frozen=True)
class Load:
    """What goes through the model at once."""

    rows: int
    tokens: int
    """In the longest row."""
    bytes_per_value: float
    """2 where matrix products are in bfloat16, else 4."""
    predicts_tokens: bool
    """A decoder that learns to answer, rather than a classifier."""
    on_cpu: bool = False
    """Weights are read and checkpoints put together in the same memory, where a GPU has its own."""


@dataclass(frozen=True)
class Need:
    """Bytes of memory on the device."""

    weights: int
    optimizer: int
    """Gradients, moments, and copies of the trained weights; on a CPU also what a checkpoint is written from."""
    activations: int
    kernels: int = 0
    """Compiled for every shape, on a CPU."""

    @property
    def total(self) -> int:
        return self.weights + self.optimizer + self.activations + self.kernels

    def as_record(self) -> dict[str, int]:
        """JSON, in whole MiB."""
        parts = {"weights": self.weights, "optimizer": self.optimizer, "activations": self.activations}
        parts["kernels"] = self.kernels
        return {f"{name}_mib": size >> 20 for name, size in {**parts, "total": self.total}.items()}


def estimate(shape: ModelShape, config: TrainingConfig, load: Load) -> Need:
    """Return what a training needs."""
    trained = trained_parameters(shape, config)
    frozen = 0 if config.method == "full" else shape.parameters
    # Read in float32, also where they are used in bfloat16 afterwards; on a CPU 4-bit weights save nothing.
    per_frozen = QLORA_BYTES + (4 if load.on_cpu else 0) if config.method == "qlora" else 4
    # A trained weight: itself, its gradient, two moments, the best copy; all in float32. A checkpoint holds weight and
    # moments as bytes besides, and a copy.
    copies = 5 + (4 if load.on_cpu else 0)
    return Need(
        weights=int(frozen * per_frozen),
        optimizer=trained * 4 * copies,
        activations=_activations(shape, load),
        kernels=CPU_BYTES if load.on_cpu else 0,
    )


def trained_parameters(shape: ModelShape, config: TrainingConfig) -> int:
    """Return about how many parameters are trained: an adapter on every linear module, or all of them."""
    if config.method == "full":
        return shape.parameters
    sides = 4 * 2 * shape.width + 3 * (shape.width + shape.inner_width)
    return config.lora.r * shape.layers * sides


def disk_bytes(shape: ModelShape, config: TrainingConfig) -> int:
    """Return what a training writes to its work folder: the trained weights in float32, tokenizer and rows. Checkpoints
    go straight to the object store."""
    return trained_parameters(shape, config) * 4 + OTHER_FILES_BYTES


def check_disk(shape: ModelShape, config: TrainingConfig, folder: Path) -> None:
    """Refuse a training whose model could not be written at its end, before it begins.

    Raises:
        NoSpace: too little disk, with what is needed and what is free.
    """
    needed, free = disk_bytes(shape, config), shutil.disk_usage(folder).free
    if needed > free:
        smaller = ", or train an adapter (method: lora)" if config.method == "full" else ""
        raise NoSpace(
            f"The training writes about {needed >> 20} MiB to {folder}, and {free >> 20} MiB are free.",
            cure=f"Free some space, set TUNELINE_STATE_DIR to a larger disk{smaller}.",
        )


def device_mib(shape: ModelShape, config: TrainingConfig, max_tokens: int) -> int:
    """Return what to reserve on a GPU before anything is known of the rows: a whole batch of the longest there can be.

    The same after memory ran out: a smaller micro-batch is then to have more room, not less.
    """
    # What `precision: auto` will be is not known without torch.
    load = Load(config.batch_size, max_tokens, 2 if config.precision == "bf16" else 4, _predicts_tokens(config))
    return reserved_mib(estimate(shape, config, load).total)


def choose_micro_batch(shape: ModelShape, config: TrainingConfig, load: Load, free_bytes: int) -> tuple[int, Need]:
    """Return the most rows that may go through the model at once, halving from `load.rows`, and what they need.

    The optimizer's steps stay the same: their gradients are summed over as many pieces as it takes.

    Raises:
        InvalidSpec: not even one row fits; up to three settings that would are named.
    """
    usable = int(free_bytes * USABLE_SHARE)
    rows = load.rows
    while rows > 1 and estimate(shape, config, replace(load, rows=rows)).total > usable:
        rows = (rows + 1) // 2
    need = estimate(shape, config, replace(load, rows=rows))
    if need.total <= usable:
        return rows, need
    fitting = [f"{name} ({size / 1e9:.1f} GB)" for name, size in _cheaper(shape, config, load) if size <= usable][:3]
    raise InvalidSpec(
        f"The training needs about {need.total / 1e9:.1f} GB for a single row of {load.tokens} tokens"
        f" (weights {need.weights / 1e9:.1f}, optimizer {need.optimizer / 1e9:.1f}, activations"
        f" {(need.activations + need.kernels) / 1e9:.1f}), and {free_bytes / 1e9:.1f} GB are free here.",
        cure=f"These would fit: {'; '.join(fitting)}." if fitting else "Take a smaller base model or a larger machine.",
    )


def _cheaper(shape: ModelShape, config: TrainingConfig, load: Load) -> Iterator[tuple[str, int]]:
    """Yield settings that need less, the gentlest first, with the bytes they need for one row."""
    one = replace(load, rows=1)
    smaller = {"full": ("lora", "qlora"), "lora": ("qlora",), "qlora": (), "tfidf": ()}[config.method]
    methods = [method for method in smaller if method == "lora" or not load.on_cpu]
    for method in methods:
        yield f"method: {method}", estimate(shape, config.model_copy(update={"method": method}), one).total
    for tokens in (load.tokens // 2, load.tokens // 4):
        if tokens >= 16:
            yield f"max_tokens: {tokens}", estimate(shape, config, replace(one, tokens=tokens)).total
    for method in methods:
        changed, shorter = config.model_copy(update={"method": method}), replace(one, tokens=max(16, load.tokens // 4))
        yield f"method: {method} with max_tokens: {shorter.tokens}", estimate(shape, changed, shorter).total


def _predicts_tokens(config: TrainingConfig) -> bool:
    return config.known_task.kind == "decoder"


def _activations(shape: ModelShape, load: Load) -> int:
    per_width, per_head = DECODER_BYTES if load.predicts_tokens else ENCODER_BYTES
    per_token = per_width * shape.width + per_head * shape.heads * load.tokens
    layers = shape.layers * load.rows * load.tokens * per_token * load.bytes_per_value / 2
    logits = load.rows * load.tokens * shape.vocabulary * 4 * 2 if load.predicts_tokens else 0
    return int(layers + logits)
