"""Texts with numbers as splits: shared out so that small and large numbers are in each."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow

from agents.base.errors import InvalidData
from agents.data.files.records import shortened
from agents.data.numbers import read_number, shortest
from agents.data.types import Row
from agents.tasks.classification.preparation import LabelPreparation, TextCells
from agents.tasks.regression.numbers import NOT_A_NUMBER, OUTPUT, row_fault

CURE = (
    "Write numbers as 3.5, without units and thousands separators, or set `label_column` of the dataset node to the "
    "column with the numbers; labels that are names are for `task: classification`."
)
#: Rows are shared out by how large their number is: in so many parts at most, of so many rows at least.
STRATA_MOST, STRATUM_ROWS_LEAST = 10, 30


class NumberPreparation(LabelPreparation):
    """A row is a text and its number. Equal texts may have several, as when two people rate one: each is kept."""

    needs_every_label = False
    several_answers = True
    _first: str | None = None

    def cleaned(self, row: Row) -> Row:
        found = super().cleaned(row)
        value = read_number(found.label)
        return found if value is None else Row(row.number, found.text, shortest(value))

    def fault(self, row: Row) -> str | None:
        found = super().fault(row)
        if found is None and row_fault(row):
            self._first = self._first or f"row {row.number}: '{shortened(row.label)}'"
            return NOT_A_NUMBER
        return found

    def documents(self, rows: Iterable[Row], dropped: Counter[str]) -> Iterator[tuple[int, Row]]:
        """See `Preparation`; says how many rows have no number."""
        kept = 0
        for number, row in super().documents(rows, dropped):
            kept += 1
            yield number, row
        left_out = dropped[NOT_A_NUMBER]
        if left_out and not kept:
            raise InvalidData(f"No label is a number, of {left_out} rows (first {self._first}).", cure=CURE)
        if left_out:
            reasons = {NOT_A_NUMBER: left_out}
            self.context.log("rows_dropped", level="warning", rows=left_out, reasons=reasons, first=self._first)

    def labels(self, found: Iterable[str]) -> list[str]:
        return [OUTPUT]

    def strata(self, counts: Mapping[str, int]) -> Mapping[str, str]:
        """Return number -> which part of all rows it is in, by its size."""
        parts = max(1, min(STRATA_MOST, sum(counts.values()) // STRATUM_ROWS_LEAST))
        found, before, total = {}, 0, sum(counts.values())
        for label in sorted(counts, key=float):
            found[label] = str(before * parts // total)
            before += counts[label]
        return found

    def cells(self, labels: Sequence[str]) -> "NumberCells":
        return NumberCells(self.tokenizer, self.max_tokens)

    def preview(self, row: Row) -> dict[str, Any]:
        cleaned = self.cleaned(row)
        if reason := self.fault(cleaned):
            why = (
                f"Its label is not a number: '{shortened(row.label)}'. {CURE}"
                if reason == NOT_A_NUMBER
                else "It is empty."
            )
            return {"row": row.number, "left_out": reason, "why": why}
        return super().preview(cleaned)


class NumberCells(TextCells):
    """`number` float64; texts are cut to `max_tokens`."""

    def types(self) -> dict[str, Any]:
        return {"number": pyarrow.float64()}

    def targets(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        return {"number": [float(row.label) for row in rows]}

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]:
        return Counter()
