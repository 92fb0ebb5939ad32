"""Measuring a trained model and the champion on the same test rows, with the very code that serves them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agents.base.agent import Context
from agents.base.errors import CorruptArtifact, InvalidModel, NotFound, TunelineError
from agents.base.folders import fetch
from agents.base.records import Artifact
from agents.evaluation.gate import Incomparable
from agents.evaluation.types import Threshold
from agents.metrics.bootstrap import Statistic
from agents.training.types import TrainingOutput

if TYPE_CHECKING:
    import numpy as np

ModelT = TypeVar("ModelT")


@dataclass(frozen=True)
class Measured:
    """A model's answers and figures on the test split.

    `value`: a metric of some of the rows, for the bootstrap; `rows`: JSON of each row's answer; `weights`: the digests
    of what the model was loaded from; `scores`: probabilities of each label, float64 of shape (rows, labels),
    where there are labels; `curves`: points of what the report and its pictures show.
    """

    value: Callable[[str, "np.ndarray"], float]
    metrics: dict[str, float]
    rows: list[dict[str, Any]]
    weights: frozenset[str]
    confusion: list[list[int]] = field(default_factory=list)
    scores: "np.ndarray | None" = None
    curves: dict[str, Any] = field(default_factory=dict)
    threshold: Threshold | None = None

    def figure(self, metric: str) -> Statistic:
        """Return a metric as a function of rows."""
        return partial(self.value, metric)


class Measure(ABC, Generic[ModelT]):
    """How models of one task are loaded and measured."""

    def __init__(self, context: Context, training: TrainingOutput, batch_size: int) -> None:
        self.context, self.training, self.batch_size = context, training, batch_size

    def of_training(self) -> Measured:
        """Measure what the training left."""
        folder = fetch(self.context.objects, self.training.files, self.context.work_dir / "challenger")
        model = self.load(folder, self.training.base_model, self.training.model_dump())
        measured = self.measure(model, weights_of(self.training.files), done=0)
        return self.with_threshold(model, measured)

    def of_champion(self) -> Measured | Incomparable | None:
        """Measure the present champion on the same rows; None where there is none."""
        manifest = self.context.champion
        if manifest is None:
            return None
        if why := _unlike(manifest, self.training):
            return self._incomparable(manifest, "champion_incomparable", why)
        try:
            model = self._load_champion(manifest)
        except (InvalidModel, NotFound, CorruptArtifact) as fault:
            return self._incomparable(manifest, "champion_unreadable", f"it can't be loaded: {_sentence(fault)}")
        return self.measure(model, weights_of(_files(manifest["trained_files"])), done=self.row_count)

    def progress(self, done: int) -> None:
        self.context.progress(done, self.row_count * (2 if self.context.champion else 1))

    @property
    @abstractmethod
    def row_count(self) -> int: ...

    @property
    def positive_label(self) -> str | None:
        """The label that some figures are about, where there are labels."""
        return None

    @abstractmethod
    def load(self, folder: Path, base_model: str, facts: Mapping[str, Any]) -> ModelT:
        """Load a model from its files; `facts`: what a training's output and a manifest both hold.

        Raises:
            InvalidModel: the files can't be loaded.
        """

    @abstractmethod
    def measure(self, model: ModelT, weights: frozenset[str], *, done: int) -> Measured:
        """Measure a model; `done`: the rows that progress begins with."""

    def with_threshold(self, model: ModelT, measured: Measured) -> Measured:
        """Return what was measured, with a decision threshold where the task has one."""
        return measured

    def _incomparable(self, manifest: Mapping[str, Any], event: str, why: str) -> Incomparable:
        self.context.log(event, level="warning", version=manifest["version"], why=why)
        return Incomparable(manifest["version"], why)

    def _load_champion(self, manifest: Mapping[str, Any]) -> ModelT:
        form = "merged" if "merged" in manifest["formats"] else "trained"
        files = _files(manifest["formats"]["merged"] if form == "merged" else manifest["trained_files"])
        folder = fetch(self.context.objects, files, self.context.work_dir / "champion")
        return self.load(folder, manifest["base_model"], manifest)


def _unlike(manifest: Mapping[str, Any], training: TrainingOutput) -> str:
    """Say why the champion does other work than the challenger; nothing where it does the same."""
    task = manifest.get("task", "classification")
    if task != training.task:
        return f"it is of task '{task}', this one of '{training.task}'."
    if manifest["labels"] != training.labels:
        return f"its labels are {', '.join(manifest['labels'])}, here they are {', '.join(training.labels)}."
    return ""


def _sentence(fault: TunelineError) -> str:
    return fault.message if fault.message.endswith(".") else f"{fault.message}."


def weights_of(files: Mapping[str, Artifact]) -> frozenset[str]:
    return frozenset(artifact.sha256 for name, artifact in files.items() if name.endswith(".safetensors"))


def _files(listed: Any) -> dict[str, Artifact]:
    return {file["path"]: Artifact.model_validate(file["artifact"]) for file in listed}
