"""What tokens show of rows: how many are unknown to the tokenizer, which rows become the same, and how many are cut."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy

from agents.base.agent import Context
from agents.base.errors import InvalidData
from agents.data.types import Row
from agents.models.vocabulary import Vocabulary
from agents.preprocessing.types import PreprocessingConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

#: Above this share of unknown tokens it is a warning.
TOLD_UNKNOWN_SHARE = 0.05
#: Where more rows than this share are cut it is a warning.
TOLD_CUT_SHARE = 0.5
#: Row numbers that are named.
NAMED_ROWS = 5


@dataclass
class Rows:
    """A count of rows, with the numbers of the first."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.count += 1
        if len(self.first) < NAMED_ROWS:
            self.first.append(row.number)


class TokenFacts:
    """Collects what is found as the token ids of rows pass; eight bytes a row. `model_takes`: tokens at most."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", model_takes: int) -> None:
        self.model_takes = model_takes
        self._vocabulary = Vocabulary.of(tokenizer)
        self._digests = array("q")
        self.tokens = self.unknown_tokens = self.cut_rows = 0
        self.with_unknown, self.with_special_text = Rows(), Rows()

    @property
    def rows(self) -> int:
        return len(self._digests)

    @property
    def unknown_share(self) -> float:
        return self.unknown_tokens / max(1, self.tokens)

    def add(self, rows: Sequence[Row], ids: Sequence[Sequence[int]], cut_rows: int) -> None:
        """Look at the rows of a batch, and their token ids."""
        self.cut_rows += cut_rows
        for row, tokens in zip(rows, ids, strict=True):
            self._digests.append(hash(tuple(tokens)))
            self.tokens += len(tokens) - (0 if row.messages else self._vocabulary.added_tokens)
            unknown = self._vocabulary.unknown(tokens)
            if unknown:
                self.unknown_tokens += unknown
                self.with_unknown.add(row)
            if row.messages is None and self._vocabulary.special_text(row.text):
                self.with_special_text.add(row)

    def same_rows(self) -> int:
        """Return how many rows have the same tokens as an earlier one."""
        return self.rows - len(numpy.unique(numpy.frombuffer(self._digests, dtype=numpy.int64)))


def tell(facts: TokenFacts, config: PreprocessingConfig, max_tokens: int, context: Context) -> None:
    """Warn of what a person would look at.

    Raises:
        InvalidData: too large a share of the tokens is unknown to the tokenizer.
    """
    share, unknown = facts.unknown_share, facts.with_unknown
    what = f"{share:.0%} of the tokens are unknown to the tokenizer of '{config.model}'"
    if share > config.maximum_unknown_share:
        raise InvalidData(
            f"{what}, `maximum_unknown_share` is {config.maximum_unknown_share:g}: {unknown.count:,} of {facts.rows:,} "
            f"rows have such, first row {unknown.first[0]}. The model would see one token for all of them.",
            cure="Set `model` to one whose tokenizer knows this script, such as a multilingual one.",
        )
    if share > TOLD_UNKNOWN_SHARE:
        context.log(
            "unknown_tokens",
            level="warning",
            share=round(share, 4),
            rows=unknown.count,
            first_rows=unknown.first,
            meaning=f"{what}.",
            cure="Set `model` to one whose tokenizer knows this script.",
        )
    same = facts.same_rows() if config.dedup != "none" else 0
    if same:
        context.log(
            "same_tokens",
            level="warning",
            rows=same,
            meaning="Rows that differ have the same tokens as another: the model can't tell them apart.",
            cure=_longer(config, max_tokens, facts.model_takes) if facts.cut_rows else "Use another tokenizer's model.",
        )
    if facts.with_special_text.count:
        context.log(
            "special_token_in_text",
            level="warning",
            rows=facts.with_special_text.count,
            first_rows=facts.with_special_text.first,
            meaning="Texts hold what the tokenizer reads as its own markup, such as [MASK]: it is not seen as text.",
            cure="Take it out of the texts where it is not meant.",
        )
    if facts.cut_rows > TOLD_CUT_SHARE * facts.rows:
        context.log(
            "most_rows_cut",
            level="warning",
            rows=facts.cut_rows,
            share=round(facts.cut_rows / facts.rows, 4),
            max_tokens=max_tokens,
            meaning="Of most texts a part is cut off and never seen.",
            cure=_longer(config, max_tokens, facts.model_takes),
        )


def _longer(config: PreprocessingConfig, max_tokens: int, model_takes: int) -> str:
    """Return what makes more of long texts seen, of what is not set yet."""
    cures = [f"raise `max_tokens` (the model takes {model_takes:,})"] if max_tokens < model_takes else []
    if config.keep == "start" and config.known_task.knows("keep"):
        cures.append("set `keep: end` where texts conclude at their end")
    cures += ["set `long_texts: parts`"] if config.long_texts == "cut" else []
    text = ", or ".join(cures) or "use a model that takes more tokens"
    return f"{text[0].upper()}{text[1:]}."
