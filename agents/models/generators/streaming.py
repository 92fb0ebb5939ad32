"""Watching torch write: new tokens as text as soon as it is whole, and the end where the caller asks for one."""

from typing import Any

import torch

from agents.chat.renderer import Renderer
from agents.models.generators.base import Completion, OnText, SamplingParams

#: What a decoder's bytes look like while a character is not whole yet.
HALF_CHARACTER = "\ufffd"


class Watch:
    """A stopping criterion of `generate` for one row. Text that could begin a stop text is held back."""

    def __init__(self, renderer: Renderer, prompt_length: int, sampling: SamplingParams, on_text: OnText) -> None:
        self._renderer, self._with_markup = renderer, sampling.with_markup
        self._prompt_length = prompt_length
        self._stop = [text for text in sampling.stop if text]
        self._held = max((len(text) for text in self._stop), default=1) - 1
        self._on_text = on_text
        self._ids: list[int] = []
        self._text = ""
        self._told = 0
        self._ended = False

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Take what has been written, of shape (1, tokens); return whether to stop, of shape (1,)."""
        self._ids = input_ids[0, self._prompt_length :].tolist()
        if self._ids[-1] in self._renderer.end_token_ids:
            self._ended = True
        self._read()
        return torch.full((1,), self._ended, dtype=torch.bool, device=input_ids.device)

    def end(self, prompt_tokens: int) -> Completion:
        """Tell the rest of the text and return the whole answer."""
        self._tell(len(self._text))
        return Completion(self._text, "stop" if self._ended else "length", prompt_tokens, len(self._ids))

    def _read(self) -> None:
        text = self._decoded()
        found = [place for place in (text.find(stop) for stop in self._stop) if place >= 0]
        if found:
            self._text, self._ended = text[: min(found)], True
        else:
            self._text = text
        if not self._text.endswith(HALF_CHARACTER):
            self._tell(len(self._text) - (0 if self._ended else self._held))

    def _decoded(self) -> str:
        if self._with_markup:
            ends = self._renderer.end_token_ids
            return self._renderer.decode(self._ids[:-1] if self._ids[-1] in ends else self._ids)
        text: str = self._renderer.tokenizer.decode(self._ids, skip_special_tokens=True)
        return text

    def _tell(self, upto: int) -> None:
        if upto > self._told:
            piece, self._told = self._text[self._told : upto], upto
            if not self._on_text(piece):
                self._ended = True
