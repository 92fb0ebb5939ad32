"""Parity: an export answers golden prompts of the test split just as the trained model does, or it is no export."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, TypeVar

from agents.base.contract import Context, inputs_from
from agents.base.errors import InvalidModel
from agents.classifier import LoadedClassifier, Prediction, load_merged, load_trained
from agents.generator import LoadedGenerator, load_trained_generator, load_whole_generator
from agents.outputs import PreprocessingOutput, PromptFormat, TrainingOutput
from agents.splits import read_test, read_test_conversations

GOLDEN_TEXTS = 64
#: Writing answers takes far longer than choosing labels.
GOLDEN_PROMPTS = 16
#: Merging adds up weights in another order; more than this is no rounding.
SCORE_TOLERANCE = 1e-3
#: Asked where the pipeline has no test split.
PLAIN_TEXTS = ["See you at eight.", "You have won a prize, call now!", "Is this thing on?", "42"]
CURE = "Export the adapter only, and report this with the base model's name."
ModelT = TypeVar("ModelT", LoadedClassifier, LoadedGenerator)


class Parity(ABC, Generic[ModelT]):
    """How models of one task are loaded, asked and compared."""

    def __init__(self, context: Context, training: TrainingOutput) -> None:
        self.context, self.training = context, training
        found = inputs_from(context, "preprocessing", PreprocessingOutput)
        self.data = found[-1] if found else None

    @abstractmethod
    def load_trained(self, folder: Path, base: Path) -> ModelT: ...

    @abstractmethod
    def load_whole(self, folder: Path) -> ModelT: ...

    @abstractmethod
    def answers(self, model: ModelT) -> list[Any]:
        """Return the model's answers to the golden prompts."""

    @abstractmethod
    def check(self, expected: list[Any], got: list[Any]) -> None:
        """Log how far answers agree.

        Raises:
            InvalidModel: they don't.
        """


class LabelParity(Parity[LoadedClassifier]):
    """Classifiers: the same labels, and scores that differ by rounding only."""

    def load_trained(self, folder: Path, base: Path) -> LoadedClassifier:
        labels, max_tokens = self.training.labels, self.training.max_tokens
        return load_trained(folder, base, labels, max_tokens, cache_dir=self.context.sources.cache_dir)

    def load_whole(self, folder: Path) -> LoadedClassifier:
        return load_merged(folder, self.training.labels, self.training.max_tokens)

    def answers(self, model: LoadedClassifier) -> list[Prediction]:
        texts = read_test(self.context, self.data).texts[:GOLDEN_TEXTS] if self.data else PLAIN_TEXTS
        return model.predict(texts)

    def check(self, expected: list[Prediction], got: list[Prediction]) -> None:
        pairs = list(zip(got, expected, strict=True))
        agree = sum(one.label == other.label for one, other in pairs)
        apart = max(abs(one.scores[label] - other.scores[label]) for one, other in pairs for label in other.scores)
        self.context.log(
            "parity", format="merged", texts=len(got), agreement=agree / len(got), largest_difference=apart
        )
        if agree < len(got) or apart > SCORE_TOLERANCE:
            raise InvalidModel(
                f"The merged model agrees with the trained one on {agree} of {len(got)} test texts, "
                f"its scores differ by up to {apart:.2g} (bound {SCORE_TOLERANCE:g}).",
                cure=CURE,
            )


class AnswerParity(Parity[LoadedGenerator]):
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
        plain = [[{"role": "user", "content": text}] for text in PLAIN_TEXTS]
        if self.data is None:
            return model.answer(plain)
        return model.answer(read_test_conversations(self.context, self.data).prompts[:GOLDEN_PROMPTS])

    def check(self, expected: list[str], got: list[str]) -> None:
        agree = sum(one == other for one, other in zip(expected, got, strict=True))
        self.context.log("parity", format="merged", prompts=len(got), agreement=agree / len(got))
        if agree < len(got):
            raise InvalidModel(
                f"The merged model gives the trained one's answer to {agree} of {len(got)} test prompts.", cure=CURE
            )
