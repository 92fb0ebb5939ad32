"""What a GGUF file says of the template that its model learned; a file that says otherwise is not loaded."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidModel
from agents.chat.format import PromptFormat

MODEL_FILE = "model.gguf"
MODELFILE = "Modelfile"
TEMPLATE_KEY = "tuneline.template.name"
FINGERPRINT_KEY = "tuneline.template.fingerprint"
#: sha256 of the file's `tokenizer.chat_template`: that text can be edited, what it was made from can not.
CHAT_TEMPLATE_KEY = "tuneline.template.chat_template_sha256"
MAX_NEW_TOKENS_KEY = "tuneline.template.max_new_tokens"


def text_digest(text: str) -> str:
    """Return a text's sha256 (hex)."""
    return hashlib.sha256(text.encode()).hexdigest()


def check_prompt_format(file: Path, prompt: PromptFormat) -> None:
    """Hold the file's template against the one that its model learned. Whoever loads the file asks this first.

    Raises:
        InvalidModel: not a GGUF file, one without a fingerprint, of another template, or with its template edited.
    """
    facts = _texts(file, FINGERPRINT_KEY, CHAT_TEMPLATE_KEY, "tokenizer.chat_template")
    found = facts.get(FINGERPRINT_KEY)
    if found is None:
        raise InvalidModel(
            f"'{file}' doesn't say which prompt template its model learned.",
            cure="Use a GGUF file that Tuneline wrote.",
        )
    if found != prompt.fingerprint:
        raise InvalidModel(
            f"The model learned the template '{prompt.template}' of fingerprint {prompt.fingerprint[:12]}; "
            f"'{file}' was written for {found[:12]}.",
            cure="Download or export the version again.",
        )
    if text_digest(facts.get("tokenizer.chat_template", "")) != facts.get(CHAT_TEMPLATE_KEY):
        raise InvalidModel(
            f"The chat template in '{file}' is not the one that it was written with.",
            cure="Download or export the version again.",
        )


def context_tokens(file: Path) -> int | None:
    """Return how many tokens the file's model knows, or None where the file doesn't say.

    Raises:
        InvalidModel: not a GGUF file.
    """
    found = _metadata(file)
    return next((int(found[name].value) for name in found if name.endswith(".context_length")), None)


def _texts(file: Path, *keys: str) -> dict[str, str]:
    found = _metadata(file)
    return {key: str(found[key].value) for key in keys if key in found}


def _metadata(file: Path) -> Mapping[str, Any]:
    # Of an extra that serving without GGUF doesn't need.
    from libgguf import GGUFFormatError
    from libgguf.inspect import inspect_gguf

    try:
        found: Mapping[str, Any] = inspect_gguf(file, max_array_values=0).metadata
    except (OSError, GGUFFormatError, MemoryError, ValueError, OverflowError) as fault:
        # A text or list of a length that the file does not have is asked for whole.
        reason = str(fault) or "it names a length that it does not have"
        raise InvalidModel(f"'{file}' can't be read as GGUF: {reason}", cure="Download it again.") from fault
    return found
