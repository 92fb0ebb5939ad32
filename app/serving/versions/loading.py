"""A version in memory, warm: the best of its formats that this machine runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from agents.base.errors import InvalidModel
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact
from agents.formats import Format
from agents.formats.manifest import Manifest
from agents.models.base_cache import SharedBases
from agents.models.classifiers.base import Classifier, calibrated
from agents.models.files import BASE_FOLDER, AdapterBase, ModelFiles
from agents.models.generators.base import Generator, SamplingParams
from agents.models.kinds import ModelKind
from agents.tasks import find_task
from app.serving.versions.files import model_folder
from app.serving.versions.formats import SETTINGS

# Serving ONNX needs no torch.

log = structlog.get_logger()
#: Parts of the names of a tokenizer's files; all other files of a training are weights and settings.
TOKENIZER_NAMES = ("token", "vocab", "merges", "chat_template", "spiece")
WARM_UP_TEXTS = ["", "warm", "a somewhat longer text, so that every size has been seen once " * 4]
WARM_UP_PROMPT = [{"role": "user", "content": "warm"}]
WARM_UP_TOKENS = 4
#: Makes a model of files; replaced in tests.
Load = Callable[[Format, ModelKind, ModelFiles], Any]


def load_format(form: Format, kind: ModelKind, files: ModelFiles) -> Any:
    """Return the model. Raises InvalidModel: its files can't be loaded."""
    return form.load(kind, files)


@dataclass(frozen=True)
class Loader:
    """Loads versions into this process. `formats`: those to look for, best first, by the kind of model."""

    objects: ObjectStore
    cache_dir: Path
    bases: SharedBases
    formats: Mapping[ModelKind, Sequence[Format]]
    load: Load = load_format

    def load_version(self, manifest: Manifest) -> tuple[Format, Classifier | Generator]:
        """Return the format that was loaded, and the model, warm.

        Raises:
            InvalidModel: no such format, files that can't be loaded or don't fit together, or no base for an adapter.
            NotFound, CorruptArtifact, Unavailable: the store lacks a file, holds other bytes, or doesn't answer.
        """
        task = find_task(manifest.task)
        kind = task.kind
        _check_facts(manifest, kind)
        form, files, base = choose_loadable(manifest, self.formats[kind], self.bases, kind)
        if form.needs_tokenizer:
            files |= _tokenizer_files(manifest)
        folder = model_folder(self.objects, self.cache_dir, manifest.name, manifest.version, files)
        head = task.head(manifest.thresholds)
        files_of = ModelFiles(folder, manifest.labels, manifest.max_tokens, manifest.prompt, folder, base, head)
        model = self.load(form, kind, files_of)
        _warm_up(manifest, kind, model)
        if manifest.calibration and kind == "classifier":
            model = calibrated(model, manifest.calibration.temperature)
        return form, model


def _check_facts(manifest: Manifest, kind: ModelKind) -> None:
    """Refuse a manifest that lacks what a model is asked by. Raises InvalidModel: it does."""
    if kind == "decoder" and manifest.prompt is None:
        raise InvalidModel(f"{manifest.title} does not say how to prompt it.", cure="Export it again.")
    if kind == "classifier" and not (manifest.labels and manifest.max_tokens):
        raise InvalidModel(f"{manifest.title} does not give its labels and `max_tokens`.", cure="Export it again.")


def choose_files(
    manifest: Manifest, preferred: Sequence[Format], kind: ModelKind
) -> tuple[Format, dict[str, Artifact]]:
    """Return the first of the preferred formats that a version has, and its files: path inside the folder -> artifact.

    Raises:
        InvalidModel: it has none of them.
    """
    form = next((form for form in preferred if manifest.formats.get(form.name)), None)
    if form is None:
        wanted = " or ".join(f"'{form.name}'" for form in preferred)
        raise InvalidModel(
            f"{manifest.title} has no {wanted} format, which serving loads.",
            cure=f"Add one to the export's formats, or set {SETTINGS[kind]} to `auto`.",
        )
    files = manifest.files(form.name)
    # A base that lies beside its adapter is had from its own place, once for all adapters on it.
    return form, {path: found for path, found in files.items() if not path.startswith(f"{BASE_FOLDER}/")}


def choose_loadable(
    manifest: Manifest, preferred: Sequence[Format], bases: SharedBases, kind: ModelKind
) -> "tuple[Format, dict[str, Artifact], AdapterBase | None]":
    """Return what `choose_files` does, and of an adapter its base in memory, which all versions tuned on it share.

    An adapter whose base can't be had here is passed over if another of the formats will do.

    Raises:
        InvalidModel: as `choose_files`; or there is nothing but an adapter, and its base can't be had.
        Unavailable: a server that the base comes from doesn't answer.
    """
    form, files = choose_files(manifest, preferred, kind)
    if not form.needs_base:
        return form, files, None
    try:
        return form, files, bases.get(*base_of(manifest), kind)
    except InvalidModel as fault:
        others = [other for other in preferred if not other.needs_base and manifest.formats.get(other.name)]
        if not others:
            raise
        log.warning("base_not_here", model=manifest.name, version=manifest.version, message=str(fault))
        return *choose_files(manifest, others, kind), None


def base_of(manifest: Manifest) -> tuple[str, str]:
    """Return URI and fingerprint of the base that a version was tuned on.

    Raises:
        InvalidModel: the manifest doesn't say.
    """
    if manifest.base_model is None or manifest.base_model_fingerprint is None:
        raise InvalidModel(f"{manifest.title} does not say which base its adapter is for.", cure="Export it again.")
    return manifest.base_model, manifest.base_model_fingerprint


def _warm_up(manifest: Manifest, kind: ModelKind, model: Any) -> None:
    if kind == "decoder":
        model.generate(model.renderer.prompt_ids(WARM_UP_PROMPT), SamplingParams(WARM_UP_TOKENS))
        return
    for text in WARM_UP_TEXTS:
        if not model.predict([text])[0].is_finite:
            raise InvalidModel(f"{manifest.title} gives predictions that are not numbers: its weights are damaged.")


def _tokenizer_files(manifest: Manifest) -> dict[str, Artifact]:
    """Return the tokenizer's files: path -> artifact."""
    listed = manifest.files("merged") or {file.path: file.artifact for file in manifest.trained_files}
    return {
        path: artifact
        for path, artifact in listed.items()
        if any(part in path.lower() for part in TOKENIZER_NAMES) and not path.endswith(".gguf")
    }
