"""The model to train: base weights from files, in 4 bits for QLoRA, with its adapter attached; and its files."""

import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerFast

from agents.base.errors import InvalidSpec
from agents.base.folders import upload
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact
from agents.models.loading import load_classifier_and_new_modules, load_decoder
from agents.models.quiet import quiet_libraries
from agents.training.encoder_packing import pack_rows, packs_rows
from agents.training.types import TrainingConfig

#: Modules whose weights the base model lacks or has for other labels, and output layers; QLoRA must not quantise them.
HEAD_NAMES = ("classifier", "score", "classification_head", "pre_classifier", "pooler", "head", "lm_head")
#: Measured with MiniLM on two cores; a GPU is hardly busier with more tokens.
START_COST_TOKENS = {"cpu": 200, "cuda": 8192}


@dataclass(frozen=True)
class Placement:
    """Where and in which number format a model is trained."""

    device: torch.device
    autocast: bool
    """Matrix products in bfloat16."""
    attention: str
    start_cost_tokens: int
    """What one pass through the model costs before its first token, in tokens."""

    def as_record(self) -> dict[str, str]:
        return {
            "device": self.device.type,
            "precision": "bf16" if self.autocast else "fp32",
            "attention": self.attention,
        }


def choose_placement(config: TrainingConfig) -> Placement:
    """Return the best this machine offers: a GPU where there is one, bfloat16 where it is in hardware."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    autocast = config.precision == "bf16" or (config.precision == "auto" and _has_bf16(device))
    # PyTorch's fused attention for CPUs is slow on short rows.
    attention = "eager" if device.type == "cpu" else "sdpa"
    return Placement(device, autocast, attention, START_COST_TOKENS[device.type])


def check_processes(processes: int, placement: Placement) -> None:
    """Refuse more processes than there are GPUs, where there are any.

    Raises:
        InvalidSpec: there are fewer.
    """
    if placement.device.type == "cuda" and processes > torch.cuda.device_count():
        raise InvalidSpec(
            f"processes is {processes}, but there are {torch.cuda.device_count()} GPUs here.",
            cure="Every process needs a GPU of its own: lower processes.",
        )


def build_model(
    config: TrainingConfig, path: Path, labels: list[str], placement: Placement, *, cache_dir: Path, pad_token_id: int
) -> PreTrainedModel:
    """Return the model to train, on its device, in training mode; parameters to be trained are float32.

    Raises:
        InvalidModel: the base model can't be loaded or can't take an adapter.
        InvalidSpec: `lora.target_modules` names nothing in this model.
    """
    options = {"attn_implementation": placement.attention, **_quantization(config, placement)}
    new_modules: list[str] = []
    if config.known_task.kind == "decoder":
        model = load_decoder(path, "float32", cache_dir=cache_dir, pad_token_id=pad_token_id, **options)
    else:
        model, new_modules = load_classifier_and_new_modules(
            path,
            labels,
            "float32",
            cache_dir=cache_dir,
            head=config.known_task.head(),
            pad_token_id=pad_token_id,
            seed=config.seed,
            **options,
        )
        if packs_rows(model, config, placement.device):
            pack_rows(model)
    if config.method != "full":
        model = _with_adapter(model, config, new_modules)
        if placement.autocast:
            _spare_casts(model)
    if not config.keeps_base_dropout:
        _switch_off_dropout(model)
    if config.method != "qlora":
        model.to(placement.device)
    model.train()
    return model


def parameter_counts(model: PreTrainedModel, method: str) -> tuple[int, int]:
    """Return how many parameters are trained, and how many the model has with its adapter."""
    if method != "full":
        trained, total = model.get_nb_trainable_parameters()
        return int(trained), int(total)
    total = sum(parameter.numel() for parameter in model.parameters())
    return total, total


def save_files(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, base_uri: str, folder: Path, objects: ObjectStore
) -> dict[str, Artifact]:
    """Write the adapter (or the whole model) and the tokenizer to `folder` and the store; return them by file name."""
    from peft import PeftModel

    if isinstance(model, PeftModel):
        model.peft_config["default"].base_model_name_or_path = base_uri
        model.save_pretrained(folder, save_embedding_layers=False)
        _sort_lists(folder / "adapter_config.json")
        (folder / "README.md").unlink(missing_ok=True)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return upload(objects, folder)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _quantization(config: TrainingConfig, placement: Placement) -> dict[str, Any]:
    """Options that load the base in 4 bits (QLoRA, Dettmers et al. 2023): NF4, doubly quantised."""
    if config.method != "qlora":
        return {}

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=list(HEAD_NAMES),
    )
    return {"quantization_config": settings, "device_map": {"": str(placement.device)}}


def _with_adapter(model: PreTrainedModel, config: TrainingConfig, new_modules: list[str]) -> PreTrainedModel:
    with quiet_libraries():
        from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training

    whole, shared = sorted(head_modules(model, new_modules) | set(config.lora.train_modules)), _shared_weights(model)
    settings = LoraConfig(
        task_type=TaskType.CAUSAL_LM if config.known_task.kind == "decoder" else TaskType.SEQ_CLS,
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=config.lora.target_modules,
        modules_to_save=whole or None,
        exclude_modules=_anything_in(whole),
        use_dora=config.lora.dora,
        use_rslora=config.lora.rslora,
    )
    try:
        with quiet_libraries(), warnings.catch_warnings():
            # What PEFT warns of is refused below.
            warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings")
            if config.method == "qlora":
                model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
                _keep_training_layout(model)
            adapted: PreTrainedModel = get_peft_model(model, settings)
    except ValueError as fault:
        raise InvalidSpec(
            f"lora.target_modules {config.lora.target_modules!r} doesn't fit this {type(model).__name__}: {fault}",
            cure='Use "all-linear" or names of its linear modules.',
        ) from fault
    _check_whole_modules(adapted, config.lora.train_modules)
    _check_tied(adapted, shared)
    return adapted


def head_modules(model: PreTrainedModel, new_modules: list[str]) -> set[str]:
    """Return what to train whole for modules without weights: not `classifier.dense`, whose like every layer may have,
    but `classifier`; inside the body the part right below it, such as `pooler`."""
    paths = [name.split(".") for name in new_modules]
    return {path[1] if path[0] == model.base_model_prefix and len(path) > 1 else path[0] for path in paths}


def _anything_in(modules: list[str]) -> str | None:
    """Return a regular expression for modules of these names and all within: they take no adapter besides."""
    names = "|".join(map(re.escape, modules))
    return rf"(?:.*\.)?(?:{names})(?:\..*)?" if modules else None


def _keep_training_layout(model: PreTrainedModel) -> None:
    """On CPUs bitsandbytes repacks 4-bit weights at the first validation, and no gradient passes through them then."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _check_whole_modules(model: PreTrainedModel, names: list[str]) -> None:
    known = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if unknown := sorted(set(names) - known):
        raise InvalidSpec(
            f"lora.train_modules names modules that this model lacks: {', '.join(unknown)}.",
            cure="Leave them out.",
        )


def _shared_weights(model: PreTrainedModel) -> list[list[str]]:
    """Return the modules that have one weight in common, such as embedding and output layer of a tied model."""
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name.rpartition(".")[0])
    return [sorted(names) for names in owners.values() if len(names) > 1]


def _check_tied(model: PreTrainedModel, shared: list[list[str]]) -> None:
    """Refuse an adapter on some of the modules that share a weight: merged, it would change the others too, and the
    model would answer otherwise than it was trained to. `shared`: as they were called without the adapter.

    Raises:
        InvalidSpec: there is one.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    adapted = {
        name.removeprefix("base_model.model.")
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)
    }
    for names in shared:
        if changed := [name for name in names if name in adapted]:
            others = " and ".join(f"'{name}'" for name in names if name != changed[0])
            raise InvalidSpec(
                f"'{changed[0]}' shares its weights with {others} in this model (tied weights): an adapter on it alone "
                "can't be merged without changing both, and the merged model would answer otherwise.",
                cure=f"Leave '{changed[0].rpartition('.')[2]}' out of lora.target_modules and lora.train_modules, or "
                "train the whole model with method: full.",
            )


def _spare_casts(model: PreTrainedModel) -> None:
    """Leave out conversions that autocast makes or undoes: frozen weights to bfloat16 in every pass (stored so they
    take half the memory too), and the adapter's inputs to float32 and back."""
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False
        frozen = isinstance(module, torch.nn.Linear) and not module.weight.requires_grad
        if frozen and module.weight.is_floating_point():
            # Parameters of its own: an output layer often shares the embedding's weight, which stays as it is.
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, torch.nn.Parameter(parameter.to(torch.bfloat16), requires_grad=False))


def _switch_off_dropout(model: PreTrainedModel) -> None:
    """Dropout of the frozen base: off, as the adapter is small; the adapter's own dropout is left."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and ".lora_dropout." not in name:
            module.p = 0.0
        if hasattr(module, "attention_dropout") and isinstance(module.attention_dropout, float):
            module.attention_dropout = 0.0


def _sort_lists(path: Path) -> None:
    """PEFT writes sets in the order of hashes: sorted, equal adapters have equal digests."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    for key, value in settings.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            settings[key] = sorted(value)
    path.write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf-8")
