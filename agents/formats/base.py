"""A format: one record that knows all that is particular to what a model is exported as.

What needs libraries is named by path and loaded when it is asked for, as with tasks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agents.base.loading import load_object
from agents.base.records import Record
from agents.models.kinds import ModelKind

if TYPE_CHECKING:
    from agents.models.files import ModelFiles
    from agents.training.types import TrainingOutput


@dataclass(frozen=True)
class Writing:
    """What a format is written from. `folder`: where to; it is not there yet."""

    folder: Path
    source: Path
    """The folder of the format that this one is made from, or of the training's own files."""
    name: str
    """Of the model."""
    training: "TrainingOutput"
    model: Callable[[], Any]
    """Gives the model that the format is held against, in memory."""
    log: Callable[..., None]
    """Takes an event and its fields."""
    base: Callable[[], Path]
    """Gives the folder of the base model, as safetensors."""


class Format(Record):
    """What a model can be exported as. `docs/agents.md` says how to add one."""

    name: str
    kinds: tuple[ModelKind, ...]
    """Of which models."""
    methods: tuple[str, ...] = ("lora", "qlora", "full")
    """Of which methods of training."""
    made_from: str | None = None
    """The format whose files it is made of; None: what the training left."""
    writer: str | None = None
    """`(Writing) -> None`; None: the training's own files are the format."""
    beside: str | None = None
    """`(Writing) -> None`: what its users need beside the training's own files, or in their place; only without a
    writer."""
    loaders: Mapping[ModelKind, str]
    """`(ModelFiles) -> Classifier or Generator`: how serving loads it."""
    prover: str | None = None
    """`(ModelFiles) -> model`: how its proof asks it, where its users ask otherwise than serving does."""
    foresight: str | None = None
    """`(folder with config.json and a tokenizer) -> None`: refuses, before a training, a model that the format can't be
    made of."""
    disk_bytes: float = 0.0
    """That a parameter takes in the files."""
    memory_bytes: float = 0.0
    """That a parameter takes at the peak of writing and proving it."""
    agreement_bound: float = 1.0
    """Least share of answers that must be those it is held against."""
    difference_bound: float = 1.0
    """Most that a probability may differ."""
    held_against: Literal["trained", "merged_on_cpu"] = "trained"
    """Whose answers are expected: the trained model's, or those of the merged one in float32 on the CPU."""
    prompts: int = 16
    """That a decoder's proof asks at most: with few of them one answer alone would break a bound below 1."""
    batch_sizes: tuple[int, ...] = (64,)
    """Texts that a classifier's proof hands over at once; the worst result counts."""
    needs_torch: bool = False
    """Whether serving runs it by torch, which uses a GPU where there is one."""
    needs_base: bool = False
    """Whether its base model must be had to run it."""
    needs_tokenizer: bool = False
    """Whether serving adds the tokenizer's files of the training."""
    packages: Mapping[str, str] = {}
    """Module -> package that must be installed to write or run it."""
    extra: str | None = None
    """The extra of Tuneline that brings these packages."""

    def missing_packages(self) -> list[str]:
        """Return which of its packages are not installed; nothing is imported."""
        return [package for module, package in self.packages.items() if find_spec(module) is None]

    def write(self, writing: Writing) -> None:
        """Write the files.

        Raises:
            InvalidModel: the format can't be made of this model.
        """
        assert self.writer is not None, "the training's own files need no writing"
        load_object(self.writer)(writing)

    def write_beside(self, writing: Writing) -> None:
        """Write what lies beside the training's own files into the folder."""
        if self.beside is not None:
            load_object(self.beside)(writing)

    def load(self, kind: ModelKind, files: "ModelFiles") -> Any:
        """Return the model as serving loads it.

        Raises:
            InvalidModel: the files can't be loaded, or are of another model.
        """
        return load_object(self.loaders[kind])(files)

    def load_to_prove(self, kind: ModelKind, files: "ModelFiles") -> Any:
        """Return the model as its users ask it. Raises: as `load`."""
        return load_object(self.prover)(files) if self.prover else self.load(kind, files)
