"""What a model's own JSON files may not name: code of others, kernels, another base, files elsewhere. Read before any
library reads them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.base.beneath import open_file
from agents.base.errors import InvalidModel, NotAllowed
from agents.base.names import checked_name, printable
from agents.models.files import ADAPTER_CONFIG

#: Larger ones hold no configuration.
BYTES_MOST = 16 << 20
#: Attention is named by a plain word; a repository of kernels has a slash, and a dot or a colon parts modules.
PLAIN_WORD = re.compile(r"(?:paged\|)?[A-Za-z0-9_]+")
IMPLEMENTATIONS = ("_attn_implementation", "attn_implementation", "_experts_implementation", "experts_implementation")
#: Hub repositories and packages that would be asked for a part of the model.
OTHERS = ("backbone", "use_timm_backbone", "use_pretrained_backbone")
MODEL_CONFIGS = ("config.json", "generation_config.json")
TOKENIZER_CONFIG = "tokenizer_config.json"
INDEX = "*.index.json"


def check_model(folder: Path) -> None:
    """Refuse a folder with a base model or a whole model that is made of more than its own files.

    Raises:
        InvalidModel: it is an adapter, or one of its files names kernels, another model or files elsewhere.
    """
    if (folder / ADAPTER_CONFIG).exists():
        base = _read(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
        raise InvalidModel(
            f"'{folder}' is not a whole model but an adapter of '{printable(str(base))}', and bases are taken from "
            "nowhere but the data roots.",
            cure=f"Merge the adapter into its base and name that, or remove {ADAPTER_CONFIG}.",
        )
    for name in MODEL_CONFIGS:
        _check_config(folder / name)
    for index in sorted(folder.glob(INDEX)):
        _check_index(index)


def check_adapter(folder: Path) -> None:
    """Refuse an adapter whose settings name a module that would be imported. Raises InvalidModel: they do."""
    path = folder / ADAPTER_CONFIG
    settings = _read(path)
    if settings.get("megatron_config"):
        raise _names_another(path, "megatron_core", settings.get("megatron_core"))


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder with a tokenizer whose settings name files elsewhere.

    Raises:
        InvalidModel: they do.
    """
    _check_config(folder / "config.json")
    path = folder / TOKENIZER_CONFIG
    settings = _read(path)
    names = settings.get("fast_tokenizer_files")
    for name in names if isinstance(names, list) else []:
        _check_name(path, "fast_tokenizer_files", name)
    for key, value in settings.items():
        # Many name where they lay on their author's disk, which nobody reads.
        if key.endswith("_file") and isinstance(value, str) and "/" in value and _is_there(folder, value):
            raise InvalidModel(
                f"'{path}' names a file elsewhere: {printable(key)} is '{printable(value)}'.",
                cure=f"Remove '{printable(key)}' there.",
            )


def _check_config(path: Path) -> None:
    for key, value in _fields(_read(path)):
        if key in IMPLEMENTATIONS:
            words = value.values() if isinstance(value, Mapping) else [value]
            if not all(word is None or (isinstance(word, str) and PLAIN_WORD.fullmatch(word)) for word in words):
                raise _names_another(path, key, value)
        elif key in OTHERS and value:
            raise _names_another(path, key, value)


def _check_index(path: Path) -> None:
    weights = _read(path).get("weight_map")
    if weights is not None and not isinstance(weights, Mapping):
        raise InvalidModel(f"'{path}' has no map of weights.", cure="Copy the file again.")
    for name in sorted({str(name) for name in (weights or {}).values()}):
        _check_name(path, "weight_map", name)


def _check_name(path: Path, key: str, name: Any) -> None:
    try:
        checked_name(str(name))
    except ValueError as fault:
        raise InvalidModel(f"'{path}' names a file elsewhere in {key}: {fault}") from fault


def _names_another(path: Path, key: str, value: Any) -> InvalidModel:
    return InvalidModel(
        f"'{path}' names code or weights of another place: {key} is '{printable(str(value))}'.",
        cure=f"Remove '{key}' there; what runs is Tuneline's own and transformers'.",
    )


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, of all objects inside each other."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Mapping):
            yield from ((str(key), inner) for key, inner in found.items())
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _is_there(folder: Path, name: str) -> bool:
    try:
        return (folder / name).exists()
    except (OSError, ValueError):
        return False


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON file's object; an empty one where there is no such file."""
    try:
        # The folder was looked at by whoever named it; of its files none may be a link out of it.
        with open_file(path.parent.resolve() / path.name) as file:
            written = file.read(BYTES_MOST + 1)
        found = json.loads(written) if len(written) <= BYTES_MOST else None
    except FileNotFoundError:
        return {}
    except NotAllowed as fault:
        raise InvalidModel(fault.message, cure=fault.cure) from fault
    except (ValueError, RecursionError) as fault:
        raise InvalidModel(f"'{path}' is not JSON.", cure="Copy the file again.") from fault
    if not isinstance(found, dict):
        raise InvalidModel(f"'{path}' is no object of settings.", cure="Copy the file again.")
    return found
