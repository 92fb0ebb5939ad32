"""What every decoder in memory is asked and answers, whichever runtime is behind it; imports no runtime."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from agents.chat.renderer import Renderer

FinishReason = Literal["stop", "length"]
#: Called with each new piece of text; returning False ends the generation there.
OnText = Callable[[str], bool]


@dataclass(frozen=True)
class SamplingParams:
    """How an answer is to be made. `temperature` 0: always the likeliest token."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """The answer ends before any of these texts."""
    json_schema: dict[str, Any] | None = None
    """The answer can only be JSON of this schema; only where `makes_json`."""
    grammar: str | None = None
    """The answer can only be what this grammar of llguidance allows; only where `makes_json`."""
    with_markup: bool = False
    """Whether special tokens are in the text where they tell the parts of an answer apart."""


class Completion(NamedTuple):
    """One answer. `finish_reason` is `length` where it was cut off, `stop` where it came to its end or was ended."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


class Generator(Protocol):
    """A decoder that answers. Any number of threads may call `generate`; `at_once` of the calls run at a time."""

    @property
    def renderer(self) -> Renderer: ...

    @property
    def max_new_tokens(self) -> int:
        """Where an answer is cut off unless `sampling` says otherwise."""
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        ...

    @property
    def at_once(self) -> int: ...

    @property
    def makes_json(self) -> bool:
        """Whether it can be held to a JSON schema while it writes."""
        ...

    def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, on_text: OnText = lambda _: True
    ) -> Completion:
        """Return the answer to a prompt of token ids.

        Raises:
            InvalidRequest: the prompt is too long, or `sampling` asks for what the model can't do.
        """
        ...
