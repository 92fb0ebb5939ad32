"""How models of a task are loaded and measured: the part of a task that evaluation uses."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from agents.base.agent import Context
from agents.base.loading import load_object
from agents.evaluation.types import EvaluationConfig
from agents.formats.manifest import Manifest
from agents.metrics.bootstrap import Interval, Statistic, interval
from agents.metrics.types import Calibration, Reference, Threshold
from agents.models.files import ModelFiles
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks import find_task
from agents.training.types import TrainingOutput

ModelT = TypeVar("ModelT")


@dataclass(frozen=True)
class Measured:
    """A model's answers and figures on the test split."""

    value: Callable[[str, np.ndarray], float]
    """A metric of some of the rows, given as int64 indices; for the bootstrap."""
    metrics: dict[str, float]
    rows: list[dict[str, Any]]
    """JSON of each row's answer."""
    confusion: list[list[int]] = field(default_factory=list)
    scores: np.ndarray | None = None
    """Where there are labels: probabilities, float64 of shape (rows, labels)."""
    curves: dict[str, Any] = field(default_factory=dict)
    """Points of what the report and its pictures show."""
    threshold: Threshold | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    """Of several labels: what each is given from, as chosen on the validation split."""
    calibration: Calibration | None = None
    """Where there are probabilities: how they were made what they are here."""
    strata: np.ndarray | None = None
    """Where each row has one label: int64 of shape (rows,), by which rows are drawn again."""
    size: Callable[[str], float] | None = None
    """How many rows a metric is about, where these are not all."""
    unbounded: frozenset[str] = frozenset()
    """Metrics that are not shares: they may lie below 0 or above 1."""

    def interval(self, metric: str) -> Interval:
        """Return between which bounds a metric lies with 95 % confidence."""
        size = self.size(metric) if self.size else None
        share = metric not in self.unbounded
        return interval(self.figure(metric), len(self.rows), strata=self.strata, size=size, share=share)

    def figure(self, metric: str) -> Statistic:
        """Return a metric as a function of rows."""
        return partial(self.value, metric)


class Measure(ABC, Generic[ModelT]):
    """How models of one task are loaded and measured, on the test split of `data`."""

    def __init__(
        self, config: EvaluationConfig, context: Context, training: TrainingOutput, data: PreprocessingOutput
    ) -> None:
        self.config, self.context, self.training, self.data = config, context, training, data

    @property
    @abstractmethod
    def row_count(self) -> int:
        """Rows of the test split."""

    @property
    def positive_label(self) -> str | None:
        """The label that some figures are about, where there are labels."""
        return None

    @abstractmethod
    def load(self, files: ModelFiles, base_model: str) -> ModelT:
        """Load a trained model: whole, or an adapter onto its base, of which `base_model` is the URI.

        Raises:
            InvalidModel: the files can't be loaded.
        """

    @abstractmethod
    def measure(self, model: ModelT, *, done: int) -> Measured:
        """Measure a model; `done`: the rows that progress begins with."""

    def with_threshold(self, model: ModelT, measured: Measured) -> Measured:
        """Return what was measured, with what is chosen on the validation split: a decision threshold and calibrated
        probabilities, where the task has them."""
        return measured

    def as_served(self, model: ModelT, _manifest: Manifest) -> ModelT:
        """Return a version's model as serving answers with it."""
        return model

    def reference(self, measured: Measured) -> Reference | None:
        """Return what serving tells drift by, where the task has it."""
        return None

    def progress(self, done: int) -> None:
        self.context.progress(done, self.row_count * (2 if self.context.champion else 1))


def make_measure(
    config: EvaluationConfig, context: Context, training: TrainingOutput, data: PreprocessingOutput
) -> Measure[Any]:
    """Return how models of a training's task are measured.

    Raises:
        InvalidData: the rows lack a label that is configured.
    """
    found: Measure[Any] = load_object(find_task(training.task).measure)(config, context, training, data)
    return found
