"""What a tokenizer lacks: tokens that stand for what it doesn't know, and texts that it reads as its own markup."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Vocabulary:
    """`unknown_id`: of the token for what is not known, None where all bytes are; `added_tokens`: of each text."""

    unknown_id: int | None
    added_tokens: int
    special_texts: tuple[str, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "Vocabulary":
        unknown = tokenizer.unk_token_id
        # Some tokenizers that know all bytes name as unknown what they begin or end texts with.
        known_as = {tokenizer.eos_token_id, tokenizer.bos_token_id}
        special = tuple(token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
        added = tokenizer.num_special_tokens_to_add(pair=False)
        return cls(None if unknown in known_as else unknown, added, special)

    def unknown(self, ids: Sequence[int]) -> int:
        """Return how many of the tokens stand for something that is not known."""
        return 0 if self.unknown_id is None else ids.count(self.unknown_id)

    def special_text(self, text: str) -> bool:
        """Say whether the tokenizer reads part of a text as its own markup."""
        return any(special in text for special in self.special_texts)
