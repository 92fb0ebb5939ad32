"""A tally of rows: how many of each label, how long, how many with damaged characters."""

from array import array
from collections import Counter
from typing import Any

from agents.data.files.records import shortened
from agents.data.types import Row

#: Labels that are told, and characters of each.
TOLD_LABELS, TOLD_CHARACTERS = 1000, 1000
#: What a decoder puts in place of bytes that are not a character.
REPLACEMENT = "\ufffd"


class Tally:
    """Counts rows as they pass; needs eight bytes a row."""

    def __init__(self) -> None:
        self.label_counts: Counter[str] = Counter()
        self.damaged_rows = 0
        self._characters = array("Q")

    @property
    def row_count(self) -> int:
        return len(self._characters)

    def add(self, row: Row) -> None:
        """Count a row; answers of conversations are not counted as labels, and several labels each by itself."""
        if row.labels is not None:
            self.label_counts.update(row.labels)
        elif row.messages is None and row.label:
            self.label_counts[row.label] += 1
        self.damaged_rows += REPLACEMENT in row.text
        self._characters.append(len(row.text))

    def told_labels(self) -> dict[str, int]:
        """Return the counts of the most frequent labels, cut: every row may have another one, as long as a text."""
        told = self.label_counts.most_common(TOLD_LABELS)
        return dict(sorted((shortened(label, TOLD_CHARACTERS), count) for label, count in told))

    def statistics(self) -> dict[str, Any]:
        """Return rows, characters (mean, median, 95th percentile by nearest rank, longest), labels and damage."""
        spread = {f"{name}_characters": value for name, value in spread_of(self._characters).items()}
        return {"rows": self.row_count, **spread, "labels": len(self.label_counts), "damaged_rows": self.damaged_rows}


def spread_of(values: "array[int]") -> dict[str, int | float]:
    """Return mean, median, 95th percentile by nearest rank, and the largest; zeros of none."""
    ordered = sorted(values)
    count = len(ordered)
    return {
        "mean": round(sum(ordered) / count, 1) if count else 0.0,
        "median": ordered[(count - 1) // 2] if count else 0,
        "p95": ordered[-(-count * 95 // 100) - 1] if count else 0,
        "max": ordered[-1] if count else 0,
    }
