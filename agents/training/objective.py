"""What a task is trained for: its rows, the loss of a batch, and how good a model is on a split."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.base.errors import InvalidData, InvalidSpec
from agents.models.generators.loss import NOT_LEARNED, learned_logits
from agents.preprocessing.types import PreprocessingOutput
from agents.training.data import Batch, Rows
from agents.training.types import TrainingConfig
from agents.training.validate import balanced_weights, score_answers, score_labels

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel


class Objective(ABC):
    """The loss of a step is the sum over its pieces divided by their weight: however it is cut, it is the same."""

    @abstractmethod
    def weight(self, rows: Rows, parts: "Sequence[np.ndarray]") -> float:
        """Return what the summed loss of these rows is divided by."""

    @abstractmethod
    def loss(self, model: "PreTrainedModel", batch: Batch) -> "torch.Tensor":
        """Return the summed loss of a batch; autocast is on where it shall be."""

    @abstractmethod
    def score(self, model: "PreTrainedModel", rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        """Return `loss` and other figures of the model on `rows`; it is left in training mode."""


@dataclass(frozen=True)
class Labels(Objective):
    """Classification: cross-entropy over labels. `class_weights`: float32 of shape (labels,)."""

    class_weights: "torch.Tensor"
    positive: int | None
    label_smoothing: float

    def weight(self, rows: Rows, parts: "Sequence[np.ndarray]") -> float:
        import torch

        labels = torch.from_numpy(rows.targets)
        return sum(float(self.class_weights[labels[torch.from_numpy(part)]].sum()) for part in parts)

    def loss(self, model: "PreTrainedModel", batch: Batch) -> "torch.Tensor":
        from torch.nn.functional import cross_entropy

        answer = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        weights = self.class_weights.to(batch.targets.device)
        return cross_entropy(
            answer.logits.float(), batch.targets, weights, label_smoothing=self.label_smoothing, reduction="sum"
        )

    def score(self, model: "PreTrainedModel", rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        return score_labels(model, rows, batch_size=batch_size, autocast=autocast, positive=self.positive)


@dataclass(frozen=True)
class Answers(Objective):
    """Sft: cross-entropy of each learned token given all before it; prompts carry no loss."""

    label_smoothing: float

    def weight(self, rows: Rows, parts: "Sequence[np.ndarray]") -> float:
        learned = sum(
            int((rows.targets[rows.starts[row] : rows.starts[row + 1]] != NOT_LEARNED).sum())
            for part in parts
            for row in part
        )
        return float(learned)

    def loss(self, model: "PreTrainedModel", batch: Batch) -> "torch.Tensor":
        from torch.nn.functional import cross_entropy

        logits = learned_logits(model, batch.input_ids, batch.attention_mask, batch.targets, batch.position_ids)
        targets = batch.targets[batch.targets != NOT_LEARNED]
        return cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="sum")

    def score(self, model: "PreTrainedModel", rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        return score_answers(model, rows, batch_size=batch_size, autocast=autocast)


def make_objective(config: TrainingConfig, data: PreprocessingOutput, train: Rows) -> Objective:
    """Return the objective of the configured task.

    Raises:
        InvalidData: the rows are of another task, or there is nothing to learn from them.
        InvalidSpec: `positive_label` is no label.
    """
    if data.task != config.task:
        raise InvalidData(
            f"The rows were made for the task '{data.task}', the training's is '{config.task}'.",
            cure="Set the same `task` in the configs of preprocessing and training.",
        )
    return _answers(config, train) if config.task == "sft" else _labels(config, data, train)


def positive_label(config: TrainingConfig, labels: list[str]) -> str | None:
    """Return the label that F1 is about: the configured one; of two, the last by name (`spam`, `positive`, `yes`).

    Raises:
        InvalidSpec: the configured one is no label of these rows.
    """
    if config.positive_label is None:
        return labels[-1] if len(labels) == 2 else None
    if config.positive_label not in labels:
        raise InvalidSpec(
            f"positive_label '{config.positive_label}' is none of the labels: {', '.join(labels)}.",
            cure="Use one of these.",
        )
    return config.positive_label


def _labels(config: TrainingConfig, data: PreprocessingOutput, train: Rows) -> Labels:
    import torch

    if not len(train) or len(data.labels) < 2:
        raise InvalidData(
            f"There are {len(train)} training rows with {len(data.labels)} labels to learn from.",
            cure="A classifier needs rows of two labels or more.",
        )
    positive, count = positive_label(config, data.labels), len(data.labels)
    balanced = config.class_weights == "balanced"
    return Labels(
        class_weights=balanced_weights(train.targets, count) if balanced else torch.ones(count),
        positive=None if positive is None else data.labels.index(positive),
        label_smoothing=config.label_smoothing,
    )


def _answers(config: TrainingConfig, train: Rows) -> Answers:
    if not (train.targets != NOT_LEARNED).any():
        raise InvalidData(
            f"None of the {len(train)} training rows has a token to learn.",
            cure="Run preprocessing again, with rows that have answers.",
        )
    return Answers(config.label_smoothing)
