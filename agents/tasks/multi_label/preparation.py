"""Texts with several labels as splits: shared out by the rarest label of each row."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow
from transformers import PreTrainedTokenizerFast

from agents.data.types import Row
from agents.tasks.classification.preparation import LabelPreparation, TextCells


class LabelSetPreparation(LabelPreparation):
    """A row is a text and its labels, of which there may be none. From here on `label` has them as a JSON list, sorted:
    equal sets are equal texts."""

    needs_every_label = False

    def cleaned(self, row: Row) -> Row:
        text = super().cleaned(row).text
        return Row(row.number, text, json.dumps(_labels_of(row), ensure_ascii=False))

    def fault(self, row: Row) -> str | None:
        return None if row.text.strip() else "empty"

    def labels(self, found: Iterable[str]) -> list[str]:
        return sorted({label for labels in found for label in json.loads(labels)})

    def strata(self, counts: Mapping[str, int]) -> Mapping[str, str]:
        """Return set of labels -> its rarest label, so that the rarest are in every split.

        Source: Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data" (2011), who share out the
        rows of the rarest label first.
        """
        rows: Counter[str] = Counter()
        for labels, count in counts.items():
            rows.update(dict.fromkeys(json.loads(labels), count))
        return {
            labels: min(json.loads(labels), key=lambda label: (rows[label], label), default="") for labels in counts
        }

    def cells(self, labels: Sequence[str]) -> "LabelSetCells":
        return LabelSetCells(self.tokenizer, labels, self.max_tokens)

    def preview(self, row: Row) -> dict[str, Any]:
        return {**super().preview(row), "learned": ", ".join(_labels_of(row))}


class LabelSetCells(TextCells):
    """`labels` list<bool>, whether the row has each of the labels; texts are cut to `max_tokens`."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_tokens: int) -> None:
        super().__init__(tokenizer, max_tokens)
        self._labels = labels

    def types(self) -> dict[str, Any]:
        return {"labels": pyarrow.list_(pyarrow.bool_())}

    def targets(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        sets = [set(json.loads(row.label)) for row in rows]
        return {"labels": [[label in found for label in self._labels] for found in sets]}

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]:
        return Counter(label for row in rows for label in json.loads(row.label))


def _labels_of(row: Row) -> list[str]:
    """Return a row's labels, sorted, each once; of a row with one label that one."""
    labels = (row.label,) if row.labels is None else row.labels
    return sorted({label.strip() for label in labels if label.strip()})
