"""What exports of a task are proven on: the part of a task that export uses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from agents.base.agent import Context, inputs_from
from agents.base.loading import load_object
from agents.evaluation.types import EvaluationOutput
from agents.formats import Format
from agents.models.files import ModelFiles
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks import find_task

#: Asked where no preprocessing stands before the export.
OWN_TEXTS = ("See you at eight.", "You have won a prize, call now!", "Is this thing on?", "42")
ModelT = TypeVar("ModelT")


class Likeness(NamedTuple):
    """How a format's answers compare with those expected of it."""

    agreement: float
    """Share of answers that are the same."""
    largest_difference: float
    """Of any probability; 0 where there are none."""


class Golden(ABC, Generic[ModelT]):
    """Held-out rows that the trained model and an export both answer. `most`: rows at most."""

    def __init__(self, context: Context, judged: EvaluationOutput) -> None:
        self.context, self.judged, self.training = context, judged, judged.training

    def files(self, folder: Path) -> ModelFiles:
        """Return what a model in `folder` is loaded from."""
        training = self.training
        cache_dir, head = self.context.sources.cache_dir, find_task(training.task).head(self.judged.thresholds)
        return ModelFiles(folder, training.labels, training.max_tokens, training.prompt, cache_dir, head=head)

    @abstractmethod
    def load_trained(self, folder: Path, base: Callable[[], Path]) -> ModelT:
        """Return what the training left, as it is to be exported. Raises InvalidModel: it can't be loaded."""

    @abstractmethod
    def load_on_cpu(self, folder: Path) -> ModelT:
        """Return a whole model in float32 on the CPU. Raises InvalidModel: it can't be loaded."""

    @abstractmethod
    def expected(self, model: ModelT, forms: Sequence[Format]) -> list[Any]:
        """Return the model's answers to as many rows as any of the formats is proven on."""

    @abstractmethod
    def asked(self, model: Any, form: Format, expected: Sequence[Any]) -> list[list[Any]]:
        """Return a format's answers to the rows that it is proven on, once for each way in which it is asked.

        Raises:
            InvalidModel: it answers with nothing that could be compared.
        """

    @abstractmethod
    def compare(self, found: Sequence[Any], expected: Sequence[Any]) -> Likeness:
        """Return how answers compare with those expected; `expected` may be longer."""

    def said(self, answer: Any) -> str | None:
        """Return an answer as evaluation's predictions have it; None where they have none."""
        return None

    def as_evaluated(self, expected: Sequence[Any]) -> Likeness | None:
        """Return how the trained model's answers compare with those that the evaluation stored, test row by test row;
        None where nothing tells which rows these are."""
        if not inputs_from(self.context, "preprocessing", PreprocessingOutput):
            return None
        rows = self.context.objects.get_json(self.judged.predictions)
        pairs = [
            (row.get("predicted", row.get("answer")), self.said(answer))
            for row, answer in zip(rows, expected, strict=False)
        ]
        # Of several labels the predictions have a list.
        pairs = [(", ".join(then) if isinstance(then, list) else then, now) for then, now in pairs]
        known = [(then, now) for then, now in pairs if then is not None and now is not None]
        return Likeness(sum(then == now for then, now in known) / len(known), 0.0) if known else None

    @abstractmethod
    def value(self, answers: Sequence[Any]) -> float | None:
        """Return the judged metric of answers to the first rows; None where nothing says what is right."""


def make_golden(context: Context, judged: EvaluationOutput) -> Golden[Any]:
    """Return what exports of a judged model are proven on."""
    found: Golden[Any] = load_object(find_task(judged.training.task).golden)(context, judged)
    return found
