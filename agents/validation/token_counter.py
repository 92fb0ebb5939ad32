"""Tokens of texts, counted as the model to be trained does."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from agents.models.tokenizers import load_tokenizer, longest_input_tokens
from agents.models.vocabulary import Vocabulary
from agents.validation.sample import Tokens


@dataclass(frozen=True)
class TokenCounter:
    """`max_tokens`: how many of them fit."""

    tokenizer: PreTrainedTokenizerFast
    max_tokens: int
    vocabulary: Vocabulary

    @classmethod
    def of_model(cls, model: Path, max_tokens: int | None) -> "TokenCounter":
        """`model`: a folder or a GGUF file; `max_tokens` unset: what it takes.

        Raises:
            InvalidModel: there is no tokenizer.
        """
        tokenizer = load_tokenizer(model)
        longest = longest_input_tokens(model, tokenizer)
        return cls(tokenizer, min(max_tokens or longest, longest), Vocabulary.of(tokenizer))

    def count(self, text: str) -> Tokens:
        """Return what the model sees of a text."""
        ids = self.tokenizer(text)["input_ids"]
        return Tokens(
            total=len(ids),
            of_text=len(ids) - self.vocabulary.added_tokens,
            unknown=self.vocabulary.unknown(ids),
            digest=hash(tuple(ids)),
            special_text=self.vocabulary.special_text(text),
        )
