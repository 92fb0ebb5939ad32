"""Base models in memory, each once: versions tuned on the same base are small models over the very same weights."""

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from agents.base.errors import InvalidModel, NotAllowed, NotFound
from agents.base.sources import Sources
from agents.models.kinds import ModelKind
from agents.models.loading import (
    attach_adapter,
    load_classifier_and_new_modules,
    load_decoder,
    loading,
    model_folder,
    ready,
    set_padding,
)

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True, eq=False)
class SharedBase:
    """What a base's files hold, in float32, on the device that models run on; nobody may write to it.

    The weights stay in memory for as long as somebody holds this or a model made by it.
    """

    path: Path
    weights: "Mapping[str, torch.Tensor]"
    """By the names of the model's class; without those that the files lack, such as a head's."""
    _class: "type[PreTrainedModel]"
    _config: "PreTrainedConfig"
    _generation: "GenerationConfig | None"

    def with_adapter(self, folder: Path, labels: list[str] | None, pad_token_id: int | None) -> "PreTrainedModel":
        """Return a model over these weights with the adapter in `folder`, on their device, in evaluation mode.

        Modules, adapter and what the adapter brings whole are the model's own. `labels`: a classifier's; None for a
        decoder.

        Raises:
            InvalidModel: the adapter doesn't fit.
        """
        return ready(attach_adapter(self._model(labels, pad_token_id), folder))

    def _model(self, labels: list[str] | None, pad_token_id: int | None) -> "PreTrainedModel":
        """Return a model over these weights; what the base's files lack is made as `load_classifier_base` makes it."""
        config = copy.deepcopy(self._config)
        if labels is not None:
            config.id2label = dict(enumerate(labels))
            config.label2id = {label: index for index, label in enumerate(labels)}
        with loading(self.path, seed=0):
            model: PreTrainedModel = self._class.from_pretrained(
                None, config=config, state_dict=dict(self.weights), dtype="float32", ignore_mismatched_sizes=True
            )
        # The library takes tensors as they are on a CPU only; from here on they are the shared ones on any device.
        own = model.state_dict()
        fitting = {name: weight for name, weight in self.weights.items() if own[name].shape == weight.shape}
        model.load_state_dict(fitting, strict=False, assign=True)
        model.generation_config = copy.deepcopy(self._generation)
        set_padding(model, pad_token_id)
        return ready(model)


class SharedBases:
    """The bases of this process, by their bytes and the kind of model they are loaded as.

    One that nobody holds any more is freed.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._held: WeakValueDictionary[tuple[str, ModelKind], SharedBase] = WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, uri: str, fingerprint: str, kind: ModelKind) -> SharedBase:
        """Return a base; whoever holds one of this fingerprint already shares it, wherever it came from.

        Raises:
            InvalidModel: it can't be had here, is not the one of this fingerprint any more, or no model of this kind.
            Unavailable: a server doesn't answer.
        """
        with self._lock:
            base = self._held.get((fingerprint, kind))
            if base is None:
                path = self._find(uri, fingerprint)
                base = self._held[fingerprint, kind] = _load(path, kind, self._sources.cache_dir)
            return base

    def _find(self, uri: str, fingerprint: str) -> Path:
        """Return where the base is on this machine, fetched once where it is remote."""
        otherwise = "Or serve `merged`, which needs no base."
        try:
            found, path = self._sources.fingerprint(uri, "model"), self._sources.local(uri, "model")
        except (InvalidModel, NotAllowed, NotFound) as fault:
            raise InvalidModel(
                f"The adapter's base model can't be had on this machine: {fault.message}",
                cure=f"{fault.cure} {otherwise}".strip(),
            ) from fault
        if found != fingerprint:
            raise InvalidModel(
                f"The base model '{uri}' is not the one that the adapter was trained on: its fingerprint is "
                f"{found[:12]}, the manifest says {fingerprint[:12]}.",
                cure=f"Bring back those files (name a revision with hf://), or train again on these. {otherwise}",
            )
        return path


def _load(path: Path, kind: ModelKind, cache_dir: Path) -> SharedBase:
    new_modules: list[str] = []
    if kind == "decoder":
        model = load_decoder(path, "float32", cache_dir=cache_dir)
    else:
        labels = _own_labels(model_folder(path, cache_dir))
        model, new_modules = load_classifier_and_new_modules(path, labels, "float32", cache_dir=cache_dir)
    lacking = tuple(f"{name}." for name in new_modules)
    weights = {name: weight for name, weight in ready(model).state_dict().items() if not name.startswith(lacking)}
    generation = model.generation_config if model.can_generate() else None
    return SharedBase(path, weights, type(model), model.config, generation)


def _own_labels(folder: Path) -> list[str]:
    """Return a base's own labels, so that a head that it has is loaded as it is."""
    from transformers import AutoConfig

    with loading(folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return [str(label) for _, label in sorted(config.id2label.items())]
