"""Findings of a validation: what is wrong with the rows, how often, where, with masked examples."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from agents.data.cleaning import exact_key
from agents.data.conversations import spoken_text
from agents.data.pii.rules import Found, find_pii, mask_pii
from agents.data.statistics import REPLACEMENT
from agents.data.types import Row

EXAMPLES = 5
EXAMPLE_CHARACTERS = 120
#: Fields that are named, of those that are not used.
NAMED_FIELDS = 20
#: Row numbers listed per finding; the count goes on.
LISTED_ROWS = 1000


@dataclass
class Finding:
    """One kind of finding. `count`: rows, or of PII the pieces found; `rows`: the first thousand row numbers."""

    kind: str
    count: int = 0
    rows: list[int] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: int | None, masked: str, count: int = 1) -> None:
        self.count += count
        if row is not None and len(self.rows) < LISTED_ROWS:
            self.rows.append(row)
        if len(self.examples) < EXAMPLES:
            self.examples.append({"row": row, "text": _excerpt(masked, self.kind)})


@dataclass(frozen=True)
class Judged:
    """What was found in one row."""

    is_empty: bool
    pii: list[Found]
    text: str
    """Of a conversation all turns."""
    masked: str


class Findings:
    """Collects findings as rows pass; keeps sixteen bytes of each different text."""

    def __init__(self, maximum_characters: int, find: Callable[[str], list[Found]] = find_pii) -> None:
        self.maximum_characters = maximum_characters
        self._find = find
        self.found: dict[str, Finding] = {}
        self.rows = 0
        self.damaged_rows = 0
        self.rows_with_pii = 0
        self._first: dict[bytes, tuple[int, str]] = {}
        self._spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def judge(self, row: Row) -> Judged:
        """Look at one row, note what is found, and return it."""
        number, text = row.number, row.text
        if row.messages is not None:
            # What is said in an answer is learned as well: it is looked at together with its prompt.
            text = "\n".join(spoken_text(message) for message in [*row.messages, *(row.rejected or [])])
        pii = self._find(text)
        judged = Judged(not text.strip(), pii, text, mask_pii(text, pii))
        self.rows += 1
        if row.messages is None:
            self._spellings[row.label.strip().casefold()][row.label] += 1
        if judged.is_empty:
            self.note("empty", number, judged.masked)
            return judged
        if len(text) > self.maximum_characters:
            self.note("too_long", number, judged.masked)
        if REPLACEMENT in text:
            self.damaged_rows += 1
            self.note("encoding_damage", number, judged.masked)
        for kind, count in Counter(found.kind for found in pii).items():
            self.note(f"pii.{kind}", number, judged.masked, count)
        self.rows_with_pii += bool(pii)
        self._compare(number, row.text, row.label, judged.masked)
        return judged

    def note(self, kind: str, row: int | None, masked: str, count: int = 1) -> None:
        self.found.setdefault(kind, Finding(kind)).add(row, masked, count)

    def note_counts(self, counts: dict[str, int]) -> None:
        """Add counts of rows that were left out before."""
        for kind, count in counts.items():
            self.found.setdefault(kind, Finding(kind)).count += count

    def note_fields(self, fields: dict[str, int]) -> None:
        """Note fields of the source that are not used, each by its name."""
        for name, count in list(fields.items())[:NAMED_FIELDS]:
            found = self.found.setdefault("unused_field", Finding("unused_field"))
            found.count += count
            found.examples.append({"row": None, "text": f"'{name}' holds something in {count} rows or turns"})

    def note_labels(self, label_counts: dict[str, int], minimum_share: float) -> None:
        """Note labels that are rare, and those that differ only in case or blanks."""
        total = sum(label_counts.values())
        for label, count in label_counts.items():
            if count < least_share(minimum_share, len(label_counts)) * total:
                self.note("rare_label", None, f"'{label}': {count} of {total} rows")
        for spellings in self._spellings.values():
            if len(spellings) > 1:
                self.note("label_spelling", None, ", ".join(f"'{name}' x {count}" for name, count in spellings.items()))

    def counts(self) -> dict[str, int]:
        return {kind: self.found[kind].count for kind in sorted(self.found)}

    def _compare(self, number: int, text: str, label: str, masked: str) -> None:
        key = blake2b(exact_key(text).encode(), digest_size=16).digest()
        first = self._first.setdefault(key, (number, label))
        if first[0] == number:
            return
        kind = "duplicate" if first[1] == label else "conflicting_label"
        self.note(
            kind, number, f"{masked} [as row {first[0]}]" if kind == "duplicate" else _conflict(masked, first, label)
        )


def _excerpt(masked: str, kind: str) -> str:
    """Cut a long text around what was found in it, which for PII is its mask."""
    at = max(0, masked.find(f"[{kind.removeprefix('pii.').upper()}]"))
    start = max(0, min(at - EXAMPLE_CHARACTERS // 2, len(masked) - EXAMPLE_CHARACTERS))
    end = start + EXAMPLE_CHARACTERS
    return f"{'…' if start else ''}{masked[start:end]}{'…' if end < len(masked) else ''}"


def least_share(minimum_share: float, labels: int) -> float:
    """Return the least share of a label: `minimum_share` of two labels, and in proportion less of more."""
    return minimum_share * 2 / max(2, labels)


def _conflict(masked: str, first: tuple[int, str], label: str) -> str:
    return f"'{label}', but row {first[0]} '{first[1]}': {masked}"
