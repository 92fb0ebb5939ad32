"""Tokenizers: loaded from a model's folder or GGUF file, and known by a fingerprint."""

import hashlib
import json
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from agents.base.errors import InvalidModel, first_line
from agents.models.files import is_gguf
from agents.models.foreign import check_tokenizer
from agents.models.sizes import check_tokenizer_sizes, read_config

#: Model types whose position indices start behind the padding index, so that two positions are never used.
OFFSET_POSITION_TYPES = {"roberta", "xlm-roberta", "camembert", "longformer", "mpnet"}


def load_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """Return the fast tokenizer of the model at `path`, a folder or a `*.gguf` file; never runs code from there.

    A tokenizer without a padding token pads with its end-of-text token.

    Raises:
        InvalidModel: there is no tokenizer, it can't be read, or it has no fast form.
    """
    folder, options = (path.parent, {"gguf_file": path.name}) if is_gguf(path) else (path, {})
    if not path.exists():
        raise InvalidModel(f"There is no model at '{path}'.", cure="Check the model's URI.")
    if path.is_dir() and not any(path.glob("*token*")) and not any(path.glob("vocab*")):
        raise InvalidModel(
            f"'{path}' holds no tokenizer.", cure="Copy the model's tokenizer.json beside its config.json."
        )
    check_tokenizer(folder)
    check_tokenizer_sizes(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except Exception as fault:
        raise InvalidModel(
            f"The tokenizer at '{path}' can't be read: {first_line(fault)}",
            cure="Use a model with a tokenizer.json, or a GGUF file with its vocabulary inside.",
        ) from fault
    if not getattr(tokenizer, "is_fast", False):
        raise InvalidModel(f"The tokenizer at '{path}' has no fast form.", cure="Use a model with a tokenizer.json.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    fast: PreTrainedTokenizerFast = tokenizer
    return fast


def check_vocabulary(tokenizer: PreTrainedTokenizerFast, embedded: int, model: str) -> None:
    """Refuse a tokenizer with tokens that a model has no embedding for: a text with one would end in an index error.

    `embedded`: tokens in the model's embedding. `model`: what the model is called in messages.

    Raises:
        InvalidModel: there are such tokens.
    """
    beyond = sorted((number, token) for token, number in tokenizer.get_vocab().items() if number >= embedded)
    if beyond:
        number, token = beyond[0]
        raise InvalidModel(
            f"The tokenizer of '{model}' has {len(beyond)} tokens that the model's embedding of {embedded:,} lacks: "
            f"the first is {token!r} ({number}).",
            cure="Save the model after resize_token_embeddings(len(tokenizer)), or take these tokens out of its "
            "tokenizer.json.",
        )


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a sha256 (hex) over vocabulary, merges, normaliser, template and special tokens.

    Truncation and padding are left out: they change with every call and are not a property of the vocabulary.
    """
    backend: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    for changing in ("truncation", "padding"):
        backend.pop(changing, None)
    special = {name: str(token) for name, token in sorted(tokenizer.special_tokens_map.items())}
    canonical = json.dumps([backend, special], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def longest_input_tokens(path: Path, tokenizer: PreTrainedTokenizerFast) -> int:
    """Return how many tokens, special ones included, the model at `path` takes at most.

    Raises:
        InvalidModel: its files name a length that is not a number.
    """
    try:
        positions = _gguf_positions(path) if is_gguf(path) else _config_positions(path)
        return min(int(tokenizer.model_max_length), positions or int(tokenizer.model_max_length))
    except (ValueError, TypeError, OverflowError) as fault:
        raise InvalidModel(
            f"The model at '{path}' names a length that is not a number: {first_line(fault)}.",
            cure="Correct `model_max_length` in tokenizer_config.json and the sizes in config.json.",
        ) from fault


def _config_positions(folder: Path) -> int | None:
    if not (folder / "config.json").is_file():
        return None
    config = read_config(folder)
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    if not isinstance(positions, int):
        return None
    offset = int(config.get("pad_token_id") or 0) + 1 if config.get("model_type") in OFFSET_POSITION_TYPES else 0
    return positions - offset


def _gguf_positions(path: Path) -> int | None:
    # Of an extra that models in other files don't need.
    from gguf import GGUFReader

    for name, field in GGUFReader(path).fields.items():
        if name.endswith(".context_length"):
            return int(field.contents())
    return None
