"""The sizes that a model's `config.json` or GGUF file names, checked before anything is built of them."""

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidModel

#: Bytes of a `config.json`, and of each file of a tokenizer.
CONFIG_BYTES, TOKENIZER_BYTES = 16 << 20, 128 << 20
#: Bytes of a safetensors file's header, by the format's own bound.
HEADER_BYTES = 100 << 20
#: Sizes by the ends of their names, and the most of each; larger models than any that is known fit.
BOUNDS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"(layers?|blocks?|block_count|depth)$"), 1024),
    (re.compile(r"experts?(_count|_per_tok|_used_count)?$"), 4096),
    (re.compile(r"(heads?|head_count(_kv)?|groups?|buckets)$"), 8192),
    (re.compile(r"labels$"), 1 << 20),
    (re.compile(r"(vocab_size|positions|position_embeddings|n_ctx|context_length)$"), 1 << 27),
    (re.compile(r"(size|dim|d_model|d_ff|d_kv|embd|inner|width|rank|embedding_length|feed_forward_length)$"), 1 << 24),
)
#: Layers times experts.
EXPERTS_OF_ALL_LAYERS = 1 << 16
#: Weights that a config stands for may be so many times those in the files: layers may share theirs.
SHARED_WEIGHTS = 64
#: Weights that any config may stand for.
SMALL_WEIGHTS = 100_000_000
CURE = "Check that config.json and the weights belong together, or use another model."
#: What may be wrong with JSON that anybody wrote.
FAULTS = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, struct.error)


def read_config(folder: Path) -> dict[str, Any]:
    """Return what a model's `config.json` holds, with sizes that something can be built of.

    Raises:
        InvalidModel: it is not a JSON object, or names a size beyond all models.
        OSError: it is not there.
    """
    file = folder / "config.json"
    if (size := file.stat().st_size) > CONFIG_BYTES:
        raise InvalidModel(f"'{file}' has {size:,} bytes; a config.json has at most {CONFIG_BYTES:,}.", cure=CURE)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(config, dict):
            check_sizes(config, str(file))
            return config
    except (ValueError, RecursionError) as fault:
        raise InvalidModel(f"'{file}' can't be read as JSON: {fault}.", cure=CURE) from fault
    raise InvalidModel(f"'{file}' is not a JSON object.", cure=CURE)


def check_folder(folder: Path) -> None:
    """See that a model can be built from a folder: its sizes are possible, and fit the weights in its files.

    Raises:
        InvalidModel: they don't. A folder without `config.json` or weights is left to whoever loads it.
    """
    if not (folder / "config.json").is_file():
        return
    config, files = read_config(folder), sorted(folder.glob("*.safetensors"))
    if not files:
        return
    try:
        held = sum(map(weight_count, files))
    except FAULTS as fault:
        raise InvalidModel(f"The weights in '{folder}' can't be read: {fault}.", cure=CURE) from fault
    wanted = least_weights(config)
    if wanted > SHARED_WEIGHTS * held + SMALL_WEIGHTS:
        raise InvalidModel(
            f"'{folder / 'config.json'}' stands for at least {wanted:,} weights; the files hold {held:,}.", cure=CURE
        )


def check_gguf(path: Path) -> None:
    """See that the sizes in a GGUF file's metadata are possible.

    Raises:
        InvalidModel: they aren't, or it is not a GGUF file.
    """
    # Of an extra that models in other files don't need.
    from gguf import GGUFReader

    try:
        fields = GGUFReader(path).fields
        sizes = {name: field.contents() for name, field in fields.items() if not name.startswith("tokenizer.")}
    except (*FAULTS, IndexError) as fault:
        raise InvalidModel(f"'{path}' can't be read as GGUF: {fault}", cure="Copy or download it again.") from fault
    check_sizes(sizes, str(path))


def check_tokenizer_sizes(path: Path) -> None:
    """See that a tokenizer's files, and the config beside them, are of a possible size.

    Raises:
        InvalidModel: one isn't.
    """
    if not path.is_dir():
        return
    for file in path.iterdir():
        size = file.stat().st_size if re.search("token|vocab|merges|template", file.name) and file.is_file() else 0
        if size > TOKENIZER_BYTES:
            raise InvalidModel(
                f"'{file}' has {size:,} bytes; a file of a tokenizer has at most {TOKENIZER_BYTES:,}.", cure=CURE
            )
    if (path / "config.json").is_file():
        read_config(path)


def check_sizes(config: Mapping[str, Any], place: str) -> None:
    """Refuse sizes beyond those of all models, wherever in a config they stand.

    Raises:
        InvalidModel: with the name, the size and its bound.
    """
    layers: float = 1
    experts: float = 1
    for name, value in _numbers(config):
        for pattern, most in BOUNDS:
            if not pattern.search(name):
                continue
            if value > most:
                raise InvalidModel(f"'{place}' has {name}: {_figure(value)}; at most {most:,} are loaded.", cure=CURE)
            if most == BOUNDS[0][1]:
                layers = max(layers, value)
            elif most == BOUNDS[1][1]:
                experts = max(experts, value)
            break
    if layers * experts > EXPERTS_OF_ALL_LAYERS:
        raise InvalidModel(
            f"'{place}' has {layers:,} layers of {experts:,} experts; at most {EXPERTS_OF_ALL_LAYERS:,} of all layers "
            "together are loaded.",
            cure=CURE,
        )


def least_weights(config: Mapping[str, Any]) -> int:
    """Return how many weights a config stands for at least, if no layers share theirs."""
    text = config.get("text_config")
    sizes = {**config, **text} if isinstance(text, dict) else config

    def size(*names: str) -> int:
        return next((int(sizes[name]) for name in names if _is_size(sizes.get(name))), 0)

    width = size("hidden_size", "n_embd", "d_model", "dim")
    inner = size("intermediate_size", "n_inner", "d_ff", "hidden_dim", "ffn_dim")
    layers = size("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    rotary = any(re.search("rope|rotary", name) for name in sizes)
    positions = 0 if rotary else size("max_position_embeddings", "n_positions")
    embedded = (size("vocab_size") + positions) * (size("embedding_size") or width)
    return layers * (2 * width * width + 2 * width * inner) + embedded


def weight_count(file: Path) -> int:
    """Count the values of a safetensors file by its header (https://huggingface.co/docs/safetensors).

    Raises:
        OSError, ValueError, KeyError, TypeError, struct.error: it is not such a file.
    """
    with file.open("rb") as content:
        (length,) = struct.unpack("<Q", content.read(8))
        if length > min(HEADER_BYTES, file.stat().st_size):
            raise ValueError(f"'{file.name}' has a header of {length:,} bytes")
        header = json.loads(content.read(length))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, int | float]]:
    """Yield every number in a config with the name that it stands under; also those of lists."""
    if _is_size(value):
        yield name, value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _numbers(below, str(key))
    elif isinstance(value, list):
        for below in value:
            yield from _numbers(below, name)


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _figure(value: float) -> str:
    text = f"{value:,}"
    return text if len(text) <= 40 else f"{len(text):,} digits"
