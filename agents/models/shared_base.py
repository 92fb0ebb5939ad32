"""One base model's weights, and the models over them: see `base_cache.py`."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, GenerationConfig, PreTrainedConfig, PreTrainedModel

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
from agents.models.sizes import check_folder


@dataclass(frozen=True, eq=False)
class SharedBase:
    """What a base's files hold, in float32, on the device that models run on; nobody may write to it.

    The weights stay in memory for as long as somebody holds this or a model made by it.
    """

    path: Path
    weights: Mapping[str, torch.Tensor]
    """By the names of the model's class; without those that the files lack, such as a head's."""
    _class: type[PreTrainedModel]
    _config: PreTrainedConfig
    _generation: GenerationConfig | None

    def with_adapter(self, folder: Path, labels: list[str] | None, pad_token_id: int | None) -> PreTrainedModel:
        """Return a model over these weights with the adapter in `folder`, on their device, in evaluation mode.

        Modules, adapter and what the adapter brings whole are the model's own. `labels`: a classifier's; None for a
        decoder.

        Raises:
            InvalidModel: the adapter doesn't fit.
        """
        return ready(attach_adapter(self._model(labels, pad_token_id), folder))

    def _model(self, labels: list[str] | None, pad_token_id: int | None) -> PreTrainedModel:
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


def load_shared_base(path: Path, kind: ModelKind, cache_dir: Path) -> SharedBase:
    """Load a base once for all models over it.

    Raises:
        InvalidModel: the files hold no model of this kind.
    """
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
    check_folder(folder)
    with loading(folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return [str(label) for _, label in sorted(config.id2label.items())]
