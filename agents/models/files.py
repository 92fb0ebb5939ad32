"""What a model is loaded from: its files, and what they don't say themselves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agents.base.errors import InvalidModel
from agents.chat.format import PromptFormat
from agents.models.heads import ONE_LABEL, Head

#: The file that tells an adapter in PEFT's layout from a whole model.
ADAPTER_CONFIG = "adapter_config.json"
#: Where a base lies beside its adapter in a download; serving has it from elsewhere, once for all adapters.
BASE_FOLDER = "base"
GGUF_SUFFIX = ".gguf"


class AdapterBase(Protocol):
    """A base model in memory, over whose weights adapters are served."""

    def with_adapter(self, folder: Path, labels: list[str] | None, pad_token_id: int | None) -> Any:
        """Return a model with the adapter in `folder`; `labels`: a classifier's, None for a decoder."""


@dataclass(frozen=True)
class ModelFiles:
    """A folder with a model's files. `cache_dir`: where conversions of a base model are kept."""

    folder: Path
    labels: list[str]
    """By index; none of a decoder."""
    max_tokens: int
    prompt: PromptFormat | None
    """Of a decoder: the format that it learned."""
    cache_dir: Path
    base: AdapterBase | None = None
    """Of an adapter that is served: its base in memory."""
    head: Head = ONE_LABEL
    """Of a classifier: what its outputs mean."""

    @property
    def prompt_format(self) -> PromptFormat:
        """Raises InvalidModel where there is none."""
        if self.prompt is None:
            raise InvalidModel(
                "The training names no prompt template.", cure="Run it again, with a task whose models write text."
            )
        return self.prompt

    @property
    def shared_base(self) -> AdapterBase:
        """Raises InvalidModel where there is none."""
        if self.base is None:
            raise InvalidModel("An adapter can't be loaded without its base model.", cure="Load `merged` instead.")
        return self.base


def is_gguf(path: Path) -> bool:
    """Say whether a path names a GGUF file."""
    return path.suffix.lower() == GGUF_SUFFIX and not path.is_dir()
