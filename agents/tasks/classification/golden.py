"""What exports of classifiers are proven on: the same labels, and scores that differ by rounding only."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agents.base.agent import inputs_from
from agents.base.errors import InvalidModel
from agents.formats import Format
from agents.metrics.classification import confusion, metric_value, positive_index
from agents.models.classifiers.base import Classifier, Prediction
from agents.models.classifiers.torch import LoadedClassifier, load_merged, load_trained
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.golden import OWN_TEXTS, Golden, Likeness
from agents.tasks.splits import read_labelled

#: With fewer texts one flipped answer alone would break a bound of 0.99.
GOLDEN_TEXTS = 256


class GoldenTexts(Golden[LoadedClassifier]):
    """Texts of the test split, then, if these are few, of the others.

    Without a preprocessing before it, the texts are a few of the project's own, and nothing is known to be right.
    """

    def load_trained(self, folder: Path, base: Callable[[], Path]) -> LoadedClassifier:
        return load_trained(self.files(folder), base)

    def load_on_cpu(self, folder: Path) -> LoadedClassifier:
        """See `Golden`; its plain attention becomes the smaller and faster graph."""
        return load_merged(self.files(folder), device="cpu", attn_implementation="eager")

    @cached_property
    def texts(self) -> list[str]:
        """The texts that are asked."""
        return [text for texts, _ in self._splits for text in texts][:GOLDEN_TEXTS] or list(OWN_TEXTS)

    @cached_property
    def right(self) -> list[Any]:
        """What is right for the first of these texts."""
        return [target for _, targets in self._splits for target in targets][:GOLDEN_TEXTS]

    @cached_property
    def _splits(self) -> list[tuple[list[str], list[Any]]]:
        found: list[tuple[list[str], list[Any]]] = []
        for data in inputs_from(self.context, "preprocessing", PreprocessingOutput)[-1:]:
            for split in ("test", "validation", "train"):
                if sum(len(texts) for texts, _ in found) < GOLDEN_TEXTS:
                    found.append(self.read(data, split))
        return found

    def read(self, data: PreprocessingOutput, split: str) -> tuple[list[str], list[Any]]:
        """Return the texts of a split, and what is right for each."""
        rows = read_labelled(self.context, data, split)
        return rows.texts, rows.labels.tolist()

    def expected(self, model: LoadedClassifier, forms: Sequence[Format]) -> list[Prediction]:
        return model.predict(self.texts)

    def asked(self, model: Classifier, form: Format, expected: Sequence[Prediction]) -> list[list[Prediction]]:
        found = [model.predict(self.texts, size) for size in form.batch_sizes]
        if not all(one.is_finite for answers in found for one in answers):
            raise InvalidModel(
                f"The format '{form.name}' gives no numbers.", cure=f"Leave '{form.name}' out of the export's formats."
            )
        return found

    def compare(self, found: Sequence[Prediction], expected: Sequence[Prediction]) -> Likeness:
        pairs = list(zip(found, expected, strict=True))
        return Likeness(
            sum(one.label == other.label for one, other in pairs) / len(pairs),
            max(abs(one.scores[label] - score) for one, other in pairs for label, score in other.scores.items()),
        )

    def said(self, answer: Prediction) -> str:
        return answer.label

    def value(self, answers: Sequence[Prediction]) -> float | None:
        names, labelled = self.training.labels, self.labelled(answers)
        if not labelled:
            return None
        said = np.array([names.index(answer.label) for answer, _ in labelled], dtype=np.int64)
        true = np.array([label for _, label in labelled], dtype=np.int64)
        positive = positive_index(self.judged.positive_label, names)
        return metric_value(confusion(true, said, len(names)), self.judged.metric, positive)

    def labelled(self, answers: Sequence[Prediction]) -> list[tuple[Prediction, int]]:
        """Return answers to the first rows with the index of the right label; none where nothing says what is right."""
        return list(zip(answers, self.right, strict=False))
