"""Parity: an export's answers beside the trained model's on held-out prompts; one under its bound is no export."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from agents.base.contract import Context, inputs_from
from agents.base.errors import InvalidModel
from agents.classifier import LoadedClassifier, load_merged, load_trained
from agents.generator import LoadedGenerator, load_trained_generator, load_whole_generator
from agents.outputs import Parity, PreprocessingOutput, PromptFormat, TrainingOutput
from agents.prediction import Classifier, Prediction
from agents.splits import read_test_conversations, read_texts

#: With fewer texts one flipped answer alone would break a bound of 0.99.
GOLDEN_TEXTS = 256
#: Writing answers takes far longer than choosing labels.
GOLDEN_PROMPTS = 16
#: Asked where no preprocessing stands before the export.
OWN_TEXTS = ("See you at eight.", "You have won a prize, call now!", "Is this thing on?", "42")
#: Share of answers that must be the trained model's.
BOUNDS = {"merged": 1.0, "onnx": 1.0, "onnx_int8": 0.99}
#: Other orders of adding up move probabilities; more than this is no rounding. Quantising has no such bound.
DIFFERENCE_BOUNDS = {"merged": 1e-3, "onnx": 1e-3}
ModelT = TypeVar("ModelT", LoadedClassifier, LoadedGenerator)


class Golden(ABC, Generic[ModelT]):
    """How models of one task are loaded, asked and compared."""

    def __init__(self, context: Context, training: TrainingOutput) -> None:
        self.context, self.training = context, training

    @abstractmethod
    def load_trained(self, folder: Path, base: Path) -> ModelT: ...

    @abstractmethod
    def load_whole(self, folder: Path) -> ModelT: ...

    @abstractmethod
    def answers(self, model: ModelT) -> list[Any]:
        """Return the model's answers to the golden prompts."""

    @abstractmethod
    def prove(self, form: str, model: ModelT, expected: list[Any]) -> Parity:
        """Return how an export compares with the answers expected of it.

        Raises:
            InvalidModel: it is under its bound; the message has the numbers.
        """


def golden(context: Context, training: TrainingOutput) -> Golden[Any]:
    """Return the golden prompts of the task that was trained for."""
    kind = GoldenPrompts if training.task == "sft" else GoldenTexts
    return kind(context, training)


class GoldenTexts(Golden[LoadedClassifier]):
    """Classifiers: the same labels, and scores that differ by rounding only."""

    def load_trained(self, folder: Path, base: Path) -> LoadedClassifier:
        labels, max_tokens = self.training.labels, self.training.max_tokens
        return load_trained(folder, base, labels, max_tokens, cache_dir=self.context.sources.cache_dir)

    def load_whole(self, folder: Path) -> LoadedClassifier:
        return load_merged(folder, self.training.labels, self.training.max_tokens)

    @cached_property
    def texts(self) -> list[str]:
        return golden_texts(self.context)

    def answers(self, model: Classifier) -> list[Prediction]:
        return model.predict(self.texts)

    def prove(
        self, form: str, model: Classifier, expected: list[Prediction], batch_sizes: Sequence[int] = (64,)
    ) -> Parity:
        """See `Golden`; measured at each of the batch sizes, of which the worst counts."""
        measured = [_compare(form, model.predict(self.texts, size), expected) for size in batch_sizes]
        return _judged(self.context, form, measured)


class GoldenPrompts(Golden[LoadedGenerator]):
    """Decoders: the same answers, letter by letter."""

    @property
    def prompt(self) -> PromptFormat:
        if self.training.prompt is None:
            raise InvalidModel("The training names no prompt template.", cure="Run it again with task: sft.")
        return self.training.prompt

    def load_trained(self, folder: Path, base: Path) -> LoadedGenerator:
        loaded = load_trained_generator(folder, base, self.prompt, cache_dir=self.context.sources.cache_dir)
        # What other programs stop at is written beside the weights.
        loaded.model.generation_config.eos_token_id = loaded.renderer.end_token_id
        return loaded

    def load_whole(self, folder: Path) -> LoadedGenerator:
        return load_whole_generator(folder, self.prompt, cache_dir=self.context.sources.cache_dir)

    def answers(self, model: LoadedGenerator) -> list[str]:
        data = inputs_from(self.context, "preprocessing", PreprocessingOutput)
        if not data:
            return model.answer([[{"role": "user", "content": text}] for text in OWN_TEXTS])
        return model.answer(read_test_conversations(self.context, data[-1]).prompts[:GOLDEN_PROMPTS])

    def prove(self, form: str, model: LoadedGenerator, expected: list[str]) -> Parity:
        got = self.answers(model)
        agreement = sum(one == other for one, other in zip(expected, got, strict=True)) / len(got)
        found = Parity(texts=len(got), agreement=agreement, bound=BOUNDS[form], largest_difference=0.0)
        return _judged(self.context, form, [found])


def golden_texts(context: Context) -> list[str]:
    """Return texts to compare answers on: the test split's, then, if these are few, the other splits'.

    Without a preprocessing before it, the texts are a few of the project's own.
    """
    texts: list[str] = []
    for data in inputs_from(context, "preprocessing", PreprocessingOutput)[-1:]:
        for split in ("test", "validation", "train"):
            if len(texts) < GOLDEN_TEXTS:
                texts += read_texts(context, data, split)
    return texts[:GOLDEN_TEXTS] or list(OWN_TEXTS)


def _judged(context: Context, form: str, measured: Sequence[Parity]) -> Parity:
    """Return the worst of what was measured.

    Raises:
        InvalidModel: it is under its bound.
    """
    parity = Parity(
        texts=measured[0].texts,
        agreement=min(one.agreement for one in measured),
        bound=BOUNDS[form],
        largest_difference=max(one.largest_difference for one in measured),
    )
    context.log("parity", format=form, **parity.model_dump())
    if parity.agreement >= parity.bound and parity.largest_difference <= DIFFERENCE_BOUNDS.get(form, 1.0):
        return parity
    raise InvalidModel(
        f"The format '{form}' gives the trained model's answer to {parity.agreement:.2%} of {parity.texts} texts "
        f"(bound {parity.bound:.0%}), and its probabilities differ by up to {parity.largest_difference:.2g}.",
        cure=f"Leave '{form}' out of the export's formats, or report this with the base model's name.",
    )


def _compare(form: str, found: Sequence[Prediction], expected: Sequence[Prediction]) -> Parity:
    if not all(math.isfinite(one.confidence) for one in found):
        raise InvalidModel(
            f"The format '{form}' gives no numbers.", cure=f"Leave '{form}' out of the export's formats."
        )
    pairs = list(zip(found, expected, strict=True))
    return Parity(
        texts=len(pairs),
        agreement=sum(one.label == other.label for one, other in pairs) / len(pairs),
        bound=BOUNDS[form],
        largest_difference=max(
            abs(one.scores[label] - score) for one, other in pairs for label, score in other.scores.items()
        ),
    )
