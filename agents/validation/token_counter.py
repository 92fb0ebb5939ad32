"""Tokens of texts, counted as the model to be trained does."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from agents.models.tokenizers import load_tokenizer, longest_input_tokens


@dataclass(frozen=True)
class TokenCounter:
    """`max_tokens`: how many of them fit."""

    tokenizer: PreTrainedTokenizerFast
    max_tokens: int

    @classmethod
    def of_model(cls, model: Path, max_tokens: int | None) -> "TokenCounter":
        """`model`: a folder or a GGUF file; `max_tokens` unset: what it takes.

        Raises:
            InvalidModel: there is no tokenizer.
        """
        tokenizer = load_tokenizer(model)
        longest = longest_input_tokens(model, tokenizer)
        return cls(tokenizer, min(max_tokens or longest, longest))

    def count(self, text: str) -> int:
        return len(self.tokenizer(text)["input_ids"])
