"""Parity: an export's answers beside the trained model's on held-out prompts; one under its bound is no export."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from agents.base.agent import Context, inputs_from
from agents.base.errors import InvalidModel
from agents.chat.format import PromptFormat
from agents.chat.markup import chat_template
from agents.data.splits import read_conversations, read_labelled
from agents.evaluation.types import EvaluationOutput
from agents.export.types import Parity
from agents.metrics.classification import confusion, metric_value
from agents.metrics.generation import score_answers
from agents.models.classifiers.base import Classifier, Prediction
from agents.models.classifiers.torch import LoadedClassifier, load_merged, load_trained
from agents.models.generators.torch import LoadedGenerator, load_trained_generator, load_whole_generator
from agents.preprocessing.types import PreprocessingOutput

#: With fewer texts one flipped answer alone would break a bound of 0.99.
GOLDEN_TEXTS = 256
#: Writing answers takes far longer than choosing labels.
GOLDEN_PROMPTS = 16
#: GGUF is another program's arithmetic: enough prompts that one answer alone does not break a bound of 0.99.
GGUF_PROMPTS = 100
#: Asked where no preprocessing stands before the export.
OWN_TEXTS = ("See you at eight.", "You have won a prize, call now!", "Is this thing on?", "42")
#: Share of answers that must be the trained model's.
BOUNDS = {
    "merged": 1.0,
    "onnx": 1.0,
    "onnx_int8": 0.99,
    "gguf_f16": 0.99,
    "gguf_q8_0": 0.99,
    "gguf_q4_k_m": 0.97,
}
#: Other orders of adding up move probabilities; more than this is no rounding. Quantising has no such bound.
DIFFERENCE_BOUNDS = {"merged": 1e-3, "onnx": 1e-3}
ModelT = TypeVar("ModelT", LoadedClassifier, LoadedGenerator)


class AnswersPrompts(Protocol):
    """A decoder in whatever runs it."""

    def answer(self, prompts: Sequence[Sequence[dict[str, str]]]) -> list[str]:
        """Return the likeliest answer to each conversation, in order."""


class Golden(ABC, Generic[ModelT]):
    """How models of one task are loaded, asked and compared."""

    def __init__(self, context: Context, judged: EvaluationOutput) -> None:
        self.context, self.judged, self.training = context, judged, judged.training

    @abstractmethod
    def load_trained(self, folder: Path, base: Path) -> ModelT: ...

    @abstractmethod
    def load_whole(self, folder: Path) -> ModelT: ...

    @abstractmethod
    def answers(self, model: ModelT) -> list[Any]:
        """Return the model's answers to the golden prompts."""

    @abstractmethod
    def value(self, answers: Sequence[Any]) -> float | None:
        """Return the judged metric of answers to the first golden prompts; None where nothing says what is right."""

    @abstractmethod
    def prove(self, form: str, model: ModelT, expected: list[Any]) -> Parity:
        """Return how an export compares with the answers expected of it.

        Raises:
            InvalidModel: it is under its bound; the message has the numbers.
        """


def golden(context: Context, judged: EvaluationOutput, formats: Sequence[str]) -> Golden[Any]:
    """Return the golden prompts of the task that was trained for, as many as the formats are held against."""
    if judged.training.task != "sft":
        return GoldenTexts(context, judged)
    most = GGUF_PROMPTS if any(form.startswith("gguf_") for form in formats) else GOLDEN_PROMPTS
    return GoldenPrompts(context, judged, most)


class GoldenTexts(Golden[LoadedClassifier]):
    """Classifiers: the same labels, and scores that differ by rounding only."""

    def load_trained(self, folder: Path, base: Path) -> LoadedClassifier:
        labels, max_tokens = self.training.labels, self.training.max_tokens
        return load_trained(folder, base, labels, max_tokens, cache_dir=self.context.sources.cache_dir)

    def load_whole(self, folder: Path) -> LoadedClassifier:
        return load_merged(folder, self.training.labels, self.training.max_tokens)

    @cached_property
    def _rows(self) -> tuple[list[str], list[int]]:
        return golden_texts(self.context)

    @property
    def texts(self) -> list[str]:
        return self._rows[0]

    def answers(self, model: Classifier) -> list[Prediction]:
        return model.predict(self.texts)

    def value(self, answers: Sequence[Prediction]) -> float | None:
        import numpy as np

        names, true = self.training.labels, self._rows[1]
        if not true:
            return None
        said = np.array([names.index(answer.label) for answer in answers], dtype=np.int64)
        positive = names.index(self.judged.positive_label) if self.judged.positive_label else None
        return metric_value(confusion(np.array(true), said, len(names)), self.judged.metric, positive)

    def prove(
        self, form: str, model: Classifier, expected: list[Prediction], batch_sizes: Sequence[int] = (64,)
    ) -> Parity:
        """See `Golden`; measured at each of the batch sizes, of which the worst counts."""
        asked = [model.predict(self.texts, size) for size in batch_sizes]
        return _within_bounds(self, form, [_compare(form, found, expected) for found in asked], asked, expected)


class GoldenPrompts(Golden[LoadedGenerator]):
    """Decoders: the same answers, letter by letter."""

    def __init__(self, context: Context, judged: EvaluationOutput, most: int = GOLDEN_PROMPTS) -> None:
        """`most`: how many prompts are answered at most."""
        super().__init__(context, judged)
        self.most = most

    @property
    def prompt(self) -> PromptFormat:
        if self.training.prompt is None:
            raise InvalidModel("The training names no prompt template.", cure="Run it again with task: sft.")
        return self.training.prompt

    def load_trained(self, folder: Path, base: Path) -> LoadedGenerator:
        loaded = load_trained_generator(folder, base, self.prompt, cache_dir=self.context.sources.cache_dir)
        # What other programs stop at, and write prompts by, lies beside the weights.
        loaded.model.generation_config.eos_token_id = loaded.renderer.end_token_id
        loaded.tokenizer.chat_template = chat_template(loaded.renderer.template)
        return loaded

    def load_whole(self, folder: Path) -> LoadedGenerator:
        return load_whole_generator(folder, self.prompt, cache_dir=self.context.sources.cache_dir)

    @cached_property
    def _rows(self) -> tuple[list[list[dict[str, str]]], list[str]]:
        return golden_prompts(self.context)

    @property
    def prompts(self) -> list[list[dict[str, str]]]:
        return self._rows[0]

    def answers(self, model: AnswersPrompts) -> list[str]:
        return model.answer(self.prompts[: self.most])

    def value(self, answers: Sequence[str]) -> float | None:
        import numpy as np

        right = self._rows[1][: len(answers)]
        if not right:
            return None
        return score_answers(right, answers).value(self.judged.metric, np.arange(len(answers)))

    def prove(self, form: str, model: AnswersPrompts, expected: list[str]) -> Parity:
        """See `Golden`; `merged` is the same arithmetic, and few prompts are enough for it."""
        expected = expected[:GOLDEN_PROMPTS] if form == "merged" else expected
        got = model.answer(self.prompts[: len(expected)])
        agreement = sum(one == other for one, other in zip(expected, got, strict=True)) / len(got)
        found = Parity(texts=len(got), agreement=agreement, bound=BOUNDS[form], largest_difference=0.0)
        return _within_bounds(self, form, [found], [got], expected)


def golden_prompts(context: Context) -> tuple[list[list[dict[str, str]]], list[str]]:
    """Return prompts to compare answers on, and what is right: the test split's, then, if these are few, the others'.

    Without a preprocessing before it, the prompts are a few of the project's own, and nothing is known to be right.
    """
    prompts: list[list[dict[str, str]]] = []
    right: list[str] = []
    for data in inputs_from(context, "preprocessing", PreprocessingOutput)[-1:]:
        for split in ("test", "validation", "train"):
            if len(prompts) < GGUF_PROMPTS:
                rows = read_conversations(context, data, split)
                prompts, right = prompts + rows.prompts, right + rows.expected
    own = [[{"role": "user", "content": text}] for text in OWN_TEXTS]
    return prompts[:GGUF_PROMPTS] or own, right[:GGUF_PROMPTS]


def golden_texts(context: Context) -> tuple[list[str], list[int]]:
    """Return texts to compare answers on, and their labels: the test split's, then, if these are few, the others'.

    Without a preprocessing before it, the texts are a few of the project's own, without labels.
    """
    texts: list[str] = []
    labels: list[int] = []
    for data in inputs_from(context, "preprocessing", PreprocessingOutput)[-1:]:
        for split in ("test", "validation", "train"):
            if len(texts) < GOLDEN_TEXTS:
                rows = read_labelled(context, data, split)
                texts, labels = texts + rows.texts, labels + rows.labels.tolist()
    return texts[:GOLDEN_TEXTS] or list(OWN_TEXTS), labels[:GOLDEN_TEXTS]


def _within_bounds(
    golden: Golden[Any], form: str, measured: Sequence[Parity], asked: Sequence[Sequence[Any]], expected: Sequence[Any]
) -> Parity:
    """Return the worst of what was measured, and the judged metric: of `asked` the worst, and of what is expected.

    Raises:
        InvalidModel: it is under its bound.
    """
    parity = Parity(
        texts=measured[0].texts,
        agreement=min(one.agreement for one in measured),
        bound=BOUNDS[form],
        largest_difference=max(one.largest_difference for one in measured),
        metric=golden.judged.metric,
        value=min((value for got in asked if (value := golden.value(got)) is not None), default=None),
        trained_value=golden.value(expected),
    )
    golden.context.log("parity", format=form, **parity.model_dump())
    if parity.agreement >= parity.bound and parity.largest_difference <= DIFFERENCE_BOUNDS.get(form, 1.0):
        return parity
    apart = (
        f", and its probabilities differ by up to {parity.largest_difference:.2g}" if parity.largest_difference else ""
    )
    drop = (
        "" if parity.value is None else f"; {parity.metric} {parity.value:.4f}, as trained {parity.trained_value:.4f}"
    )
    raise InvalidModel(
        f"The format '{form}' gives the trained model's answer to {parity.agreement:.2%} of {parity.texts} texts "
        f"(bound {parity.bound:.0%}){apart}{drop}.",
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
