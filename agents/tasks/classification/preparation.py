"""Texts with labels as splits: cut, or made parts, and encoded."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pyarrow
from transformers import PreTrainedTokenizerFast

from agents.data.cleaning import clean_text
from agents.data.parts import Parter
from agents.data.types import Row
from agents.tasks.preparation import Preparation


class LabelPreparation(Preparation):
    """A row is a text and its label; long texts are cut, or become parts that each have the label."""

    names_labels = True
    needs_every_label = True
    several_answers = False

    def cleaned(self, row: Row) -> Row:
        return Row(row.number, clean_text(row.text) if self.config.clean else row.text, row.label)

    def documents(self, rows: Iterable[Row], dropped: Counter[str]) -> Iterator[tuple[int, Row]]:
        if self.config.long_texts == "cut":
            yield from enumerate(rows)
            return
        parter = Parter(self.tokenizer, self.max_tokens, self.config.overlap_tokens)
        long_texts = parts = 0
        for number, row in enumerate(rows):
            found = parter.parts(row.text)
            long_texts += len(found) > 1
            parts += len(found) if len(found) > 1 else 0
            for text in found:
                yield number, replace(row, text=text)
        self.context.log("long_texts_parted", long_texts=long_texts, parts=parts)

    def cells(self, labels: Sequence[str]) -> "TextCells":
        return LabelCells(self.tokenizer, labels, self.max_tokens)

    def prompt_format(self, train: Iterable[Row]) -> None:
        return None

    def preview(self, row: Row) -> dict[str, Any]:
        """See `Preparation`; the label carries the loss, and no token."""
        ids: list[int] = self.tokenizer(clean_text(row.text))["input_ids"]
        return {
            "row": row.number,
            "tokens": [self.tokenizer.decode([number]) for number in ids[: self.max_tokens]],
            "token_count": len(ids),
            "cut_tokens": max(0, len(ids) - self.max_tokens),
            "learned": row.label,
        }

    def preview_facts(self) -> dict[str, Any]:
        return {}


class TextCells(ABC):
    """Texts as tokens, cut to `max_tokens`, and what is learned of each."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, max_tokens: int) -> None:
        # A copy: truncation is set on it, and others use the tokenizer as it is. It works on all cores.
        self._tokenizer = deepcopy(tokenizer.backend_tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens, direction=tokenizer.truncation_side)

    @abstractmethod
    def types(self) -> dict[str, Any]:
        """Return the column of what is learned -> type of pyarrow."""

    @abstractmethod
    def targets(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        """Return the cells of that column."""

    @abstractmethod
    def label_counts(self, rows: Sequence[Row]) -> Counter[str]: ...

    def columns(self, rows: Sequence[Row]) -> tuple[dict[str, list[Any]], int]:
        encoded = self._tokenizer.encode_batch_fast([row.text for row in rows])
        cells = {**self.targets(rows), "input_ids": [one.ids for one in encoded]}
        return cells, sum(bool(one.overflowing) for one in encoded)


class LabelCells(TextCells):
    """`label` int64, an index into `labels`."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_tokens: int) -> None:
        super().__init__(tokenizer, max_tokens)
        self._number = {label: index for index, label in enumerate(labels)}

    def types(self) -> dict[str, Any]:
        return {"label": pyarrow.int64()}

    def targets(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        return {"label": [self._number[row.label] for row in rows]}

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]:
        return Counter(row.label for row in rows)
