"""A classifier in memory: files become `predict(texts)`. Evaluation measures with it what serving serves with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agents.base.contract import Artifact
from agents.base.errors import InvalidModel
from agents.base.objects import ObjectStore
from agents.cleaning import clean_text
from agents.models import ADAPTER_CONFIG, attach_adapter, load_classifier_and_new_modules, load_classifier_base, ready
from agents.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


class Prediction(NamedTuple):
    """One answer: `scores` has the probability of every label and sums to 1."""

    label: str
    confidence: float
    scores: dict[str, float]


@dataclass(frozen=True)
class LoadedClassifier:
    """A sequence classifier on its device, in evaluation mode, with its tokenizer."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    labels: list[str]
    max_tokens: int

    def predict(self, texts: Sequence[str], batch_size: int = 64) -> list[Prediction]:
        """Return a prediction for each text, in order. Texts are cleaned and cut to `max_tokens` as in training."""
        if not texts:
            return []
        encoded = self.tokenizer([clean_text(text) for text in texts], truncation=True, max_length=self.max_tokens)
        token_ids: list[list[int]] = encoded["input_ids"]
        # Rows of like length share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda row: len(token_ids[row]))
        predictions: list[Prediction | None] = [None] * len(texts)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            for row, scores in zip(rows, self._probabilities([token_ids[row] for row in rows]), strict=True):
                predictions[row] = _prediction(self.labels, scores)
        return [prediction for prediction in predictions if prediction is not None]

    def _probabilities(self, token_ids: list[list[int]]) -> list[list[float]]:
        import torch

        batch = self.tokenizer.pad({"input_ids": token_ids}, return_tensors="pt").to(self.model.device)
        with torch.inference_mode(), torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=self._half()):
            logits: torch.Tensor = self.model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
            ).logits
        scores: list[list[float]] = logits.float().softmax(dim=-1).cpu().tolist()
        return scores

    def _half(self) -> bool:
        """On a GPU bfloat16 is faster and its answers agree; on a CPU float32 keeps answers the same everywhere."""
        import torch

        return bool(self.model.device.type == "cuda" and torch.cuda.is_bf16_supported())


def fetch(objects: ObjectStore, files: Mapping[str, Artifact], folder: Path) -> Path:
    """Write a model's files to a folder, each checked against its digest; return the folder."""
    for name, artifact in files.items():
        objects.get_artifact_file(artifact, folder / name)
    return folder


def load_merged(folder: Path, labels: list[str], max_tokens: int) -> LoadedClassifier:
    """Load a whole model: `config.json`, safetensors and the tokenizer's files.

    Raises:
        InvalidModel: the files can't be loaded, or lack a head for these labels.
    """
    tokenizer = load_tokenizer(folder)
    model, new_modules = load_classifier_and_new_modules(
        folder, labels, "float32", cache_dir=folder, pad_token_id=tokenizer.pad_token_id
    )
    if new_modules:
        raise InvalidModel(
            f"The model has no trained weights for {', '.join(new_modules)} with {len(labels)} labels.",
            cure="It is not a classifier of these labels: train one first.",
        )
    return LoadedClassifier(ready(model), tokenizer, labels, max_tokens)


def load_adapter(folder: Path, base: Path, labels: list[str], max_tokens: int, *, cache_dir: Path) -> LoadedClassifier:
    """Load an adapter in PEFT's layout onto its base model, in float32 and never quantised.

    Raises:
        InvalidModel: the files can't be loaded, or don't fit the base.
    """
    tokenizer = load_tokenizer(folder)
    model = load_classifier_base(base, labels, "float32", cache_dir=cache_dir, pad_token_id=tokenizer.pad_token_id)
    return LoadedClassifier(ready(attach_adapter(model, folder)), tokenizer, labels, max_tokens)


def load_trained(folder: Path, base: Path, labels: list[str], max_tokens: int, *, cache_dir: Path) -> LoadedClassifier:
    """Load what a training left: an adapter, or a whole model."""
    if (folder / ADAPTER_CONFIG).exists():
        return load_adapter(folder, base, labels, max_tokens, cache_dir=cache_dir)
    return load_merged(folder, labels, max_tokens)


def _prediction(labels: list[str], scores: list[float]) -> Prediction:
    best = max(range(len(scores)), key=scores.__getitem__)
    return Prediction(labels[best], scores[best], dict(zip(labels, scores, strict=True)))
