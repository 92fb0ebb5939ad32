"""Base models from local files: one loader for training, evaluation and export; safetensors only, no remote code."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedModel

from agents.base.errors import InvalidModel, first_line
from agents.base.folders import make_folder
from agents.models.files import is_gguf
from agents.models.foreign import check_adapter, check_model
from agents.models.heads import ONE_LABEL, Head
from agents.models.quiet import quiet_libraries
from agents.models.sizes import check_folder, check_gguf

#: What the libraries raise for files that they can't read as a model.
LOAD_FAULTS = (OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError)


def load_classifier_base(
    path: Path,
    labels: list[str],
    dtype: str | torch.dtype,
    *,
    cache_dir: Path,
    head: Head = ONE_LABEL,
    pad_token_id: int | None = None,
    seed: int = 0,
    **options: Any,
) -> PreTrainedModel:
    """Return the base model at `path` as a sequence classifier over `labels`, on the CPU, in evaluation mode.

    `path`: a folder with `config.json` and safetensors, or a `*.gguf` file, which is converted once into a folder
    below `cache_dir`. `head`: what its outputs are to mean. `pad_token_id`: the tokenizer's, which decoders need to
    find a row's last token. Weights that the files lack (the head) come from `seed`. `options` go to `from_pretrained`.

    Raises:
        InvalidModel: there is no model in the files, or not one that can classify.
    """
    return load_classifier_and_new_modules(
        path, labels, dtype, cache_dir=cache_dir, head=head, pad_token_id=pad_token_id, seed=seed, **options
    )[0]


def load_classifier_and_new_modules(
    path: Path,
    labels: list[str],
    dtype: str | torch.dtype,
    *,
    cache_dir: Path,
    head: Head = ONE_LABEL,
    pad_token_id: int | None = None,
    seed: int = 0,
    **options: Any,
) -> tuple[PreTrainedModel, list[str]]:
    """Return the classifier and the names of its modules that the files had no weights for, such as `classifier`.

    Raises: as `load_classifier_base`.
    """
    folder = model_folder(path, cache_dir)
    check_folder(folder)
    with loading(path, seed=seed):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=dtype,
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            problem_type=head.problem_type,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    set_padding(model, pad_token_id)
    mismatched = {str(key[0] if isinstance(key, tuple) else key) for key in report["mismatched_keys"]}
    return model, _new_modules(path, model, set(report["missing_keys"]) | mismatched)


def load_decoder(
    path: Path, dtype: str | torch.dtype, *, cache_dir: Path, pad_token_id: int | None = None, **options: Any
) -> PreTrainedModel:
    """Return the base model at `path` as one that writes text, on the CPU, in evaluation mode.

    Arguments as for `load_classifier_base`.

    Raises:
        InvalidModel: there is no model in the files, or not one that writes text.
    """
    folder = model_folder(path, cache_dir)
    check_folder(folder)
    with loading(path):
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    set_padding(model, pad_token_id)
    if missing := report["missing_keys"]:
        raise InvalidModel(
            f"'{path}' lacks {len(missing)} weights of a {type(model).__name__}, such as '{min(missing)}'.",
            cure="Name a decoder (Llama, Qwen, SmolLM2 ...) for task: sft; encoders write no text.",
        )
    decoder: PreTrainedModel = model
    return decoder


def attach_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Return a model with the adapter in `folder` (PEFT's layout) attached.

    Raises:
        InvalidModel: the adapter doesn't fit.
    """
    check_adapter(folder)
    try:
        with quiet_libraries():
            # Its import talks, and only adapters need it.
            from peft import PeftModel

            adapted: PreTrainedModel = PeftModel.from_pretrained(model, str(folder))
    except (OSError, ValueError, RuntimeError, KeyError) as fault:
        raise InvalidModel(f"The adapter doesn't fit its base model: {first_line(fault)}") from fault
    return adapted


def ready(model: PreTrainedModel, device: str | None = None) -> PreTrainedModel:
    """Put a model on a device, by default the GPU where there is one, in evaluation mode, and return it."""
    model.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    model.eval()
    return model


def model_folder(path: Path, cache_dir: Path) -> Path:
    """Return a folder with `config.json` and safetensors for the model at `path`.

    A GGUF file's weights are dequantised into a folder named by the file's digest, once; a folder is itself.

    Raises:
        InvalidModel: nothing that can be loaded is there, or it names code or weights of another place.
    """
    if path.is_dir():
        check_model(path)
        return path
    if not is_gguf(path) or not path.is_file():
        raise InvalidModel(
            f"'{path}' is not a base model.",
            cure="Name a folder with config.json and *.safetensors, or a *.gguf file.",
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return make_folder(cache_dir / "gguf-weights" / digest, lambda scratch: _convert_gguf(path, scratch))


def _convert_gguf(path: Path, folder: Path) -> None:
    """Write the GGUF's weights as safetensors to `folder`."""
    # The library looks for settings and adapters beside the file, too.
    check_model(path.parent)
    check_gguf(path)
    with loading(path):
        loaded = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype="float32")
        # A model that was read from GGUF refuses to be saved: its weights go into one made from its config, which
        # must not say any more that it was quantised, or whatever is made of that one refuses as well.
        if hasattr(loaded.config, "quantization_config"):
            del loaded.config.quantization_config
        plain = AutoModelForCausalLM.from_config(loaded.config)
        plain.load_state_dict(loaded.state_dict())
        plain.save_pretrained(folder)


def set_padding(model: PreTrainedModel, pad_token_id: int | None) -> None:
    if pad_token_id is not None:
        model.config.get_text_config().pad_token_id = pad_token_id
        model.config.pad_token_id = pad_token_id


def _new_modules(path: Path, model: PreTrainedModel, missing: set[str]) -> list[str]:
    """Name the modules of missing weights; a body without weights is a wrong file, not a new head."""
    body = [key for key in missing if key.startswith(f"{model.base_model_prefix}.") and "pooler" not in key]
    if body:
        raise InvalidModel(
            f"'{path}' lacks {len(body)} weights of a {type(model).__name__}, such as '{min(body)}'.",
            cure="Check that config.json and the weights belong together.",
        )
    return sorted({key.rpartition(".")[0] for key in missing})


@contextmanager
def loading(path: Path, seed: int | None = None) -> Iterator[None]:
    """Around the libraries' loading of the base model at `path`: quiet, weights that are made come from `seed`.

    Raises:
        InvalidModel: what the libraries say of files that they can't read as a model.
    """
    try:
        with quiet_libraries(), torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            yield
    except (*LOAD_FAULTS, SafetensorError) as fault:
        raise InvalidModel(
            f"The base model at '{path}' can't be loaded: {first_line(fault)}",
            cure="It must be an architecture that transformers knows, with its weights as safetensors or GGUF.",
        ) from fault
