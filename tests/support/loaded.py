"""Models loaded from folders, for tests that have files without a training or a manifest around them."""

from pathlib import Path
from typing import Any

from agents.chat.format import PromptFormat
from agents.chat.renderer import matching_renderer
from agents.formats import FORMATS
from agents.models.classifiers import torch as classifiers
from agents.models.classifiers.base import Classifier
from agents.models.classifiers.torch import LoadedClassifier
from agents.models.files import ModelFiles
from agents.models.generators import torch as generators
from agents.models.generators.llama_cpp import LlamaGenerator, load_llama
from agents.models.generators.torch import LoadedGenerator
from agents.models.gguf_file import check_prompt_format
from agents.models.tokenizers import load_tokenizer


def load_merged(folder: Path, labels: list[str], max_tokens: int, **options: Any) -> LoadedClassifier:
    return classifiers.load_merged(ModelFiles(folder, labels, max_tokens, None, folder), **options)


def load_adapter(folder: Path, base: Path, labels: list[str], max_tokens: int, *, cache_dir: Path) -> LoadedClassifier:
    return classifiers.load_trained(ModelFiles(folder, labels, max_tokens, None, cache_dir), lambda: base)


def load_exported(folder: Path, labels: list[str], max_tokens: int) -> Classifier:
    """Load a folder as serving would, by the format that its files are of."""
    form = FORMATS["onnx" if (folder / "model.onnx").exists() else "merged"]
    model: Classifier = form.load("classifier", ModelFiles(folder, labels, max_tokens, None, folder))
    return model


def load_whole_generator(folder: Path, prompt: PromptFormat, *, cache_dir: Path) -> LoadedGenerator:
    return generators.load_merged(ModelFiles(folder, [], 0, prompt, cache_dir))


def load_trained_generator(folder: Path, base: Path, prompt: PromptFormat, *, cache_dir: Path) -> LoadedGenerator:
    return generators.load_trained_generator(ModelFiles(folder, [], 0, prompt, cache_dir), lambda: base)


def load_exported_llama(file: Path, tokenizer_folder: Path, prompt: PromptFormat) -> LlamaGenerator:
    """Load a GGUF file whose tokenizer lies in another folder."""
    check_prompt_format(file, prompt)
    return load_llama(file, matching_renderer(load_tokenizer(tokenizer_folder), prompt), prompt.max_new_tokens)
