"""A tally of rows: how many of each label, how long, how many with damaged characters."""

from array import array
from collections import Counter
from typing import Any

#: What a decoder puts where bytes were no character.
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

    def add(self, text: str, label: str | None) -> None:
        """Count a row; `label`: None where rows have answers of their own and no labels."""
        if label is not None:
            self.label_counts[label] += 1
        self.damaged_rows += REPLACEMENT in text
        self._characters.append(len(text))

    def statistics(self) -> dict[str, Any]:
        """Return rows, characters (mean, median, 95th percentile by nearest rank, longest), labels and damage."""
        ordered = sorted(self._characters)
        count = len(ordered)
        return {
            "rows": count,
            "mean_characters": round(sum(ordered) / count, 1) if count else 0.0,
            "median_characters": ordered[(count - 1) // 2] if count else 0,
            "p95_characters": ordered[-(-count * 95 // 100) - 1] if count else 0,
            "max_characters": ordered[-1] if count else 0,
            "labels": len(self.label_counts),
            "damaged_rows": self.damaged_rows,
        }
