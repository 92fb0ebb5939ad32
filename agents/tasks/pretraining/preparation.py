"""Plain text as splits: documents cut into sequences that fit the model, of which training packs several into one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import pyarrow

from agents.chat.format import PromptFormat
from agents.chat.renderer import Renderer, make_renderer
from agents.data.cleaning import clean_content
from agents.data.types import Rendered, Row
from agents.tasks.preparation import Preparation

#: Documents that are made tokens at once.
BATCH_DOCUMENTS = 100
#: Where a continuation ends unless the request says otherwise.
NEW_TOKENS_MOST = 256
#: A sequence of one token has nothing to be learned.
TOKENS_LEAST = 2


class TextPreparation(Preparation):
    """A row is a document. Its tokens, and the one that ends it, are cut into sequences of `max_tokens`.

    Sequences of one document stay in one split; training lays them and others end to end, each blind to the others
    (`agents/training/packing.py`), so that none is cut again and none is padded much. Source: Ding and others, "Fewer
    Truncations Improve Language Modeling" (2024).
    """

    names_labels = False
    several_answers = False

    @cached_property
    def renderer(self) -> Renderer:
        """What the served model's prompts are written by: as they are. Raises InvalidModel: no token ends a text."""
        return make_renderer("completion", self.tokenizer)

    def cleaned(self, row: Row) -> Row:
        return Row(row.number, clean_content(row.text) if self.config.clean else row.text, "")

    def fault(self, row: Row) -> str | None:
        return None if row.text.strip() else "empty"

    def documents(self, rows: Iterable[Row], dropped: Counter[str]) -> Iterator[tuple[int, Row]]:
        waiting, number = iter(rows), 0
        while batch := list(islice(waiting, BATCH_DOCUMENTS)):
            for row, sequences in zip(batch, self._sequences([row.text for row in batch]), strict=True):
                for text, ids in sequences:
                    yield number, Row(row.number, text, "", rendered=Rendered(ids, [True] * len(ids)))
                dropped["too_short"] += not sequences
                number += 1
        dropped += Counter()

    def _sequences(self, texts: list[str]) -> Iterator[list[tuple[str, list[int]]]]:
        """Yield the sequences of each text: what they say, and their tokens."""
        encoded = self.tokenizer(texts, return_offsets_mapping=True)
        for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            whole = [*ids, self.renderer.end_token_id] if ids[-1:] != [self.renderer.end_token_id] else ids
            starts = range(0, len(ids), self.max_tokens)
            ends = [*(offsets[start][0] for start in starts[1:]), len(text)]
            begins = [0, *ends[:-1]]
            pieces = [whole[start : start + self.max_tokens] for start in starts]
            found = [(text[begin:end], piece) for begin, end, piece in zip(begins, ends, pieces, strict=True)]
            yield [(said, piece) for said, piece in found if len(piece) >= TOKENS_LEAST]

    def cells(self, labels: Sequence[str]) -> "TextCells":
        return TextCells()

    def prompt_format(self, train: Iterable[Row]) -> PromptFormat:
        tokens = sum(len(_rendered(row).input_ids) for row in train)
        self.context.log("texts_cut", max_tokens=self.max_tokens, learned_tokens=tokens)
        return self.renderer.format(min(NEW_TOKENS_MOST, self.max_tokens), clean=self.config.clean)

    def preview(self, row: Row) -> dict[str, Any]:
        cleaned, decode = self.cleaned(row), self.tokenizer.decode
        sequences = next(self._sequences([cleaned.text]))
        if not sequences:
            return {"row": row.number, "left_out": "too_short", "why": "It has no two tokens. Give longer texts."}
        ids = sequences[0][1]
        return {
            "row": row.number,
            "tokens": [decode([number]) for number in ids],
            "carries_loss": [True] * len(ids),
            "token_count": len(ids),
            "cut_answers": 0,
            "loss_tokens": len(ids) - 1,
            "rendered": decode(ids),
            "learned": decode(ids),
        }

    def preview_facts(self) -> dict[str, Any]:
        return {"template": self.renderer.template.name, "template_fingerprint": self.renderer.fingerprint}


@dataclass(frozen=True)
class TextCells:
    """`loss_mask` list<bool>, of sequences that are tokens already."""

    def types(self) -> dict[str, Any]:
        return {"loss_mask": pyarrow.list_(pyarrow.bool_())}

    def columns(self, rows: Sequence[Row]) -> tuple[dict[str, list[Any]], int]:
        rendered = [_rendered(row) for row in rows]
        return {"loss_mask": [one.loss_mask for one in rendered], "input_ids": [one.input_ids for one in rendered]}, 0

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]:
        return Counter()


def _rendered(row: Row) -> Rendered:
    assert row.rendered is not None
    return row.rendered
