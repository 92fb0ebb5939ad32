"""Measuring a trained model and the champion on the same test rows, with the very code that serves them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agents.base.contract import Artifact, Context
from agents.base.errors import InvalidModel, NotFound
from agents.classifier import fetch
from agents.outputs import TrainingOutput

if TYPE_CHECKING:
    import numpy as np

ModelT = TypeVar("ModelT")


@dataclass(frozen=True)
class Measured:
    """A model's answers and figures on the test split.

    `outcome`: what each row came to, int64 of shape (rows,), for the bootstrap; `rows`: JSON of each row's answer;
    `weights`: the digests of what the model was loaded from.
    """

    outcome: "np.ndarray"
    metrics: dict[str, float]
    rows: list[dict[str, Any]]
    weights: frozenset[str]
    confusion: list[list[int]]


class Measure(ABC, Generic[ModelT]):
    """How models of one task are loaded and measured."""

    def __init__(self, context: Context, training: TrainingOutput, batch_size: int) -> None:
        self.context, self.training, self.batch_size = context, training, batch_size

    def of_training(self) -> Measured:
        """Measure what the training left."""
        folder = fetch(self.context.objects, self.training.files, self.context.work_dir / "challenger")
        model = self.load(folder, self.training.base_model, self.training.model_dump())
        return self.measure(model, weights_of(self.training.files), done=0)

    def of_champion(self) -> Measured | None:
        """Measure the present champion on the same rows; None where there is none that could be measured so."""
        manifest = self.context.champion
        if manifest is None:
            return None
        if manifest.get("task", "classification") != self.training.task or manifest["labels"] != self.training.labels:
            self.context.log(
                "champion_incomparable",
                level="warning",
                task=manifest.get("task"),
                labels=manifest["labels"],
                version=manifest["version"],
            )
            return None
        try:
            model = self._load_champion(manifest)
        except (InvalidModel, NotFound) as fault:
            self.context.log("champion_unreadable", level="warning", version=manifest["version"], message=str(fault))
            return None
        return self.measure(model, weights_of(_files(manifest["trained_files"])), done=self.row_count)

    def progress(self, done: int) -> None:
        self.context.progress(done, self.row_count * (2 if self.context.champion else 1))

    @property
    @abstractmethod
    def row_count(self) -> int: ...

    @abstractmethod
    def load(self, folder: Path, base_model: str, facts: Mapping[str, Any]) -> ModelT:
        """Load a model from its files; `facts`: what a training's output and a manifest both hold.

        Raises:
            InvalidModel: the files can't be loaded.
        """

    @abstractmethod
    def measure(self, model: ModelT, weights: frozenset[str], *, done: int) -> Measured:
        """Measure a model; `done`: the rows that progress begins with."""

    @abstractmethod
    def worst_difference(self, ours: Measured, champion: Measured, metric: str) -> float:
        """Return the lower confidence bound of the metric's difference, ours minus the champion's."""

    def _load_champion(self, manifest: Mapping[str, Any]) -> ModelT:
        form = "merged" if "merged" in manifest["formats"] else "trained"
        files = _files(manifest["formats"]["merged"] if form == "merged" else manifest["trained_files"])
        folder = fetch(self.context.objects, files, self.context.work_dir / "champion")
        return self.load(folder, manifest["base_model"], manifest)


def weights_of(files: Mapping[str, Artifact]) -> frozenset[str]:
    return frozenset(artifact.sha256 for name, artifact in files.items() if name.endswith(".safetensors"))


def _files(listed: Any) -> dict[str, Artifact]:
    return {file["path"]: Artifact.model_validate(file["artifact"]) for file in listed}
