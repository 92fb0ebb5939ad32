"""A classifier in memory: files become `predict(texts)`. Evaluation measures with it what serving serves with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agents.base.errors import InvalidModel
from agents.data.cleaning import clean_text
from agents.models.classifiers.base import Prediction, Runs, predict_in_batches
from agents.models.classifiers.scores import scores_of
from agents.models.files import ADAPTER_CONFIG, AdapterBase, ModelFiles
from agents.models.heads import ONE_LABEL, Head
from agents.models.loading import attach_adapter, load_classifier_and_new_modules, load_classifier_base, ready
from agents.models.tokenizers import load_tokenizer


@dataclass(frozen=True)
class LoadedClassifier:
    """A sequence classifier on its device, in evaluation mode, with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    labels: list[str]
    max_tokens: int
    head: Head = ONE_LABEL
    base: AdapterBase | None = None
    """What keeps the weights in memory that are not this model's alone."""

    @property
    def runs(self) -> Runs:
        """One at a time: torch takes all cores, or the GPU, for it."""
        return Runs(at_once=1, texts_most=64)

    def predict(self, texts: Sequence[str], batch_size: int = 64) -> list[Prediction]:
        """Return a prediction for each text, in order. Texts are cleaned and cut to `max_tokens` as in training."""
        if not texts:
            return []
        encoded = self.tokenizer([clean_text(text) for text in texts], truncation=True, max_length=self.max_tokens)
        token_ids: list[list[int]] = encoded["input_ids"]
        return predict_in_batches(self.labels, self.head, token_ids, batch_size, self._scores)

    def _scores(self, token_ids: list[list[int]]) -> list[list[float]]:
        batch = self.tokenizer.pad({"input_ids": token_ids}, return_tensors="pt").to(self.model.device)
        with torch.inference_mode(), torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=self._half()):
            logits: torch.Tensor = self.model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
            ).logits
        return scores_of(self.head.outputs, logits.float().cpu().numpy())

    def _half(self) -> bool:
        """On a GPU bfloat16 is faster and its answers agree; on a CPU float32 keeps answers the same everywhere.

        Of numbers the first three digits may well be alike: bfloat16 has no more.
        """
        fast = self.model.device.type == "cuda" and torch.cuda.is_bf16_supported()
        return bool(fast and self.head.outputs != "number")


def load_merged(files: ModelFiles, *, device: str | None = None, **options: Any) -> LoadedClassifier:
    """Load a whole model: `config.json`, safetensors and the tokenizer's files.

    `device`: where to; unset: a GPU where there is one. `options` go to `from_pretrained`.

    Raises:
        InvalidModel: the files can't be loaded, or lack a head for these labels.
    """
    tokenizer = load_tokenizer(files.folder)
    model, new_modules = load_classifier_and_new_modules(
        files.folder,
        files.labels,
        "float32",
        cache_dir=files.cache_dir,
        head=files.head,
        pad_token_id=tokenizer.pad_token_id,
        **options,
    )
    if new_modules:
        raise InvalidModel(
            f"The model has no trained weights for {', '.join(new_modules)} with {len(files.labels)} labels.",
            cure="It is not a classifier of these labels: train one first.",
        )
    return LoadedClassifier(ready(model, device), tokenizer, files.labels, files.max_tokens, files.head)


def load_shared(files: ModelFiles) -> LoadedClassifier:
    """Load an adapter in PEFT's layout over the weights of a base that others may hold too.

    Raises:
        InvalidModel: the files can't be loaded, or don't fit the base.
    """
    tokenizer, base = load_tokenizer(files.folder), files.shared_base
    model = base.with_adapter(files.folder, files.labels, tokenizer.pad_token_id)
    return LoadedClassifier(model, tokenizer, files.labels, files.max_tokens, files.head, base)


def load_trained(files: ModelFiles, base: Callable[[], Path]) -> LoadedClassifier:
    """Load what a training left: a whole model, or an adapter onto its base, in float32 and never quantised.

    `base`: gives the base model's folder or file; only asked for an adapter.

    Raises:
        InvalidModel: the files can't be loaded, or don't fit the base.
    """
    if not (files.folder / ADAPTER_CONFIG).exists():
        return load_merged(files)
    tokenizer = load_tokenizer(files.folder)
    model = load_classifier_base(
        base(), files.labels, "float32", cache_dir=files.cache_dir, head=files.head, pad_token_id=tokenizer.pad_token_id
    )
    adapted = ready(attach_adapter(model, files.folder))
    return LoadedClassifier(adapted, tokenizer, files.labels, files.max_tokens, files.head)
