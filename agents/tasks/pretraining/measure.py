"""Measuring decoders that have read on: how well they foresee held-out text, beside their base model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agents.base.agent import Context
from agents.base.folders import fetch
from agents.evaluation.types import EvaluationConfig
from agents.metrics.generation import loss_metrics, perplexity
from agents.models.files import ModelFiles
from agents.models.generators.loss import text_losses
from agents.models.generators.torch import LoadedGenerator, load_base_generator, load_trained_generator
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.measure import Measure, Measured
from agents.tasks.splits import read_texts
from agents.training.types import TrainingOutput


@dataclass(frozen=True)
class Documents:
    """Held-out texts. `numbers`: of their rows in the source; `pieces`: each text's parts, as they fit the model."""

    numbers: list[int]
    pieces: list[list[str]]

    @property
    def texts(self) -> list[str]:
        return ["".join(pieces) for pieces in self.pieces]


def read_documents(context: Context, data: PreprocessingOutput, split: str) -> Documents:
    """Return a split of texts, parts of one text together, checked against its digest."""
    numbers, texts, _ = read_texts(context, data, split, "loss_mask")
    pieces: dict[int, list[str]] = {}
    for number, text in zip(numbers, texts, strict=True):
        pieces.setdefault(number, []).append(text)
    return Documents(list(pieces), list(pieces.values()))


@dataclass(frozen=True)
class TextLosses:
    """Of each text the sum of its tokens' cross-entropies, and how many tokens that is: of shape (texts,)."""

    sums: np.ndarray
    tokens: np.ndarray

    def loss(self, rows: np.ndarray) -> float:
        """Return the mean cross-entropy of a token of some of the texts."""
        return float(self.sums[rows].sum() / max(1, self.tokens[rows].sum()))


def losses_of(model: LoadedGenerator, documents: Documents, max_tokens: int) -> TextLosses:
    """Return the losses of texts by a model's own tokenizer; sums of models with other tokenizers can be compared."""
    pieces = [piece for parts in documents.pieces for piece in parts]
    owners = [number for number, parts in enumerate(documents.pieces) for _ in parts]
    found: list[list[int]] = model.tokenizer(pieces)["input_ids"]
    cut = [
        (owner, ids[start : start + max_tokens])
        for owner, ids in zip(owners, found, strict=True)
        for start in range(0, len(ids), max_tokens)
    ]
    scored = [(owner, ids) for owner, ids in cut if len(ids) > 1]
    with model.precision():
        sums = text_losses(model.model, [ids for _, ids in scored], model.tokenizer.pad_token_id or 0)
    places, count = [owner for owner, _ in scored], len(documents.numbers)
    lengths = [len(ids) - 1 for _, ids in scored]
    return TextLosses(np.bincount(places, sums, count), np.bincount(places, lengths, count))


class TextMeasure(Measure[LoadedGenerator]):
    """Loss and perplexity of the test split's texts, and by how much the perplexity is lower than the base model's.

    The base model's losses are worked out first: so the two are never in memory together.
    """

    def __init__(
        self, config: EvaluationConfig, context: Context, training: TrainingOutput, data: PreprocessingOutput
    ) -> None:
        super().__init__(config, context, training, data)
        self.test = read_documents(context, data, "test")

    @property
    def row_count(self) -> int:
        return len(self.test.numbers)

    def load(self, files: ModelFiles, base_model: str) -> LoadedGenerator:
        _ = self.base
        return load_trained_generator(files, lambda: self.context.sources.local(base_model, "model"))

    @cached_property
    def base(self) -> TextLosses:
        """The losses of the training's base model."""
        training = self.training
        # The trained tokenizer has the template; the weights are the base's alone.
        chosen = {name: file for name, file in training.files.items() if not name.endswith(".safetensors")}
        folder = fetch(self.context.objects, chosen, self.context.work_dir / "base-tokenizer")
        files = ModelFiles(folder, [], training.max_tokens, training.prompt, self.context.sources.cache_dir)
        model = load_base_generator(files, self.context.sources.local(training.base_model, "model"))
        return losses_of(model, self.test, training.max_tokens)

    def measure(self, model: LoadedGenerator, *, done: int) -> Measured:
        losses, base, every = (
            losses_of(model, self.test, self.training.max_tokens),
            self.base,
            np.arange(self.row_count),
        )
        self.progress(done + self.row_count)
        columns = (
            self.test.numbers,
            losses.tokens.tolist(),
            losses.sums.tolist(),
            base.sums.tolist(),
            base.tokens.tolist(),
        )
        names = ("row", "tokens", "loss_sum", "base_loss_sum", "base_tokens")
        return Measured(
            value=lambda metric, rows: text_metric(losses, base, metric, rows),
            metrics={
                **loss_metrics(losses.loss(every)),
                "base_perplexity": perplexity(base.loss(every)),
                "perplexity_drop": text_metric(losses, base, "perplexity_drop", every),
            },
            rows=[dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)],
            unbounded=frozenset({"loss", "perplexity", "perplexity_drop"}),
        )


def text_metric(losses: TextLosses, base: TextLosses, metric: str, rows: np.ndarray) -> float:
    """Return `loss`, `perplexity`, or `perplexity_drop`: by which share the perplexity is lower than the base model's.

    The share is that of a token of the base's: what a model gives whole texts is the same however it cuts them up.
    """
    if metric == "perplexity_drop":
        tokens = max(1, int(base.tokens[rows].sum()))
        return 1 - perplexity(float((losses.sums[rows].sum() - base.sums[rows].sum()) / tokens))
    loss = losses.loss(rows)
    return loss if metric == "loss" else perplexity(loss)


def losses_from(rows: Sequence[dict[str, float]], prefix: str = "") -> TextLosses:
    """Return the losses that a measure's rows have; `prefix`: `base_` for those of the base model."""
    return TextLosses(
        np.array([row[f"{prefix}loss_sum"] for row in rows], dtype=np.float64),
        np.array([row[f"{prefix}tokens"] for row in rows], dtype=np.int64),
    )
