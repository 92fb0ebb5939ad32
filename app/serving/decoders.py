"""A decoder's version in memory, warm: the best of its formats that this machine runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agents.base.errors import InvalidModel
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact
from agents.chat.answer_schema import ANY_OBJECT
from agents.chat.format import PromptFormat
from agents.models.base_cache import SharedBases
from agents.models.generators.base import Generator, SamplingParams
from agents.models.gguf_file import MODEL_FILE
from app.serving.adapters import choose_loadable
from app.serving.files import model_folder
from app.serving.formats import GGUF_FORMATS

if TYPE_CHECKING:
    from agents.models.shared_base import SharedBase

#: What a tokenizer's files are named with; all else that a training left are weights and settings.
TOKENIZER_NAMES = ("token", "vocab", "merges", "chat_template", "spiece")
WARM_UP = [{"role": "user", "content": "warm"}]
WARM_UP_TOKENS = 4


def load_decoder_version(
    manifest: dict[str, Any], objects: ObjectStore, cache_dir: Path, preferred: Sequence[str], bases: SharedBases
) -> tuple[str, Generator]:
    """Return the format that was loaded, and the decoder.

    A GGUF file comes with the tokenizer of the training, so that prompts are made of the same tokens.

    Raises:
        InvalidModel: no such format, or files that can't be loaded or don't belong together, or no base for an adapter.
        NotFound, CorruptArtifact, Unavailable: the store lacks a file, holds other bytes, or doesn't answer.
    """
    of_version = f"Version {manifest.get('version')} of '{manifest.get('name')}'"
    try:
        prompt = PromptFormat.model_validate(manifest.get("prompt"))
    except ValidationError as fault:
        raise InvalidModel(f"{of_version} doesn't say how it is asked.", cure="Export it again.") from fault
    form, files, base = choose_loadable(manifest, preferred, bases, setting="TUNELINE_DECODER_FORMAT")
    if form in GGUF_FORMATS:
        files |= _tokenizer_files(manifest)
    folder = model_folder(objects, cache_dir, str(manifest["name"]), int(manifest["version"]), files)
    generator = _load(form, folder, prompt, base)
    generator.generate(generator.renderer.prompt_ids(WARM_UP), SamplingParams(WARM_UP_TOKENS))
    return form, generator


def answer_schema_of(manifest: dict[str, Any]) -> str | None:
    """Return the schema of a task's answers, as JSON text; None where they are no JSON objects.

    Of versions from before schemas were learnt only the evaluation says whether they answer in JSON.
    """
    if "answer_schema" in manifest:
        found = manifest["answer_schema"]
        return found if isinstance(found, str) else None
    return json.dumps(ANY_OBJECT) if "json_validity" in manifest.get("metrics", {}) else None


def _load(form: str, folder: Path, prompt: PromptFormat, base: "SharedBase | None") -> Generator:
    if form in GGUF_FORMATS:
        from agents.models.generators.llama_cpp import load_exported_llama

        file = next(iter(sorted(folder.rglob("*.gguf"))), folder / MODEL_FILE)
        return load_exported_llama(file, folder, prompt)
    from agents.models.generators.torch import load_shared_generator, load_whole_generator

    if base is not None:
        return load_shared_generator(folder, base, prompt)
    return load_whole_generator(folder, prompt, cache_dir=folder)


def _tokenizer_files(manifest: dict[str, Any]) -> dict[str, Artifact]:
    """Return the tokenizer's files: path -> artifact."""
    listed = manifest.get("formats", {}).get("merged") or manifest.get("trained_files", [])
    return {
        str(file["path"]): Artifact.model_validate(file["artifact"])
        for file in listed
        if any(part in file["path"].lower() for part in TOKENIZER_NAMES) and not file["path"].endswith(".gguf")
    }
