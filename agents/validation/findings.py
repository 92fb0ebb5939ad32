"""Findings of a validation: what is wrong with the rows, how often, where, with masked examples."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from agents.data.cleaning import spelling_key
from agents.data.conversations import spoken_text
from agents.data.files.garbled import looks_garbled
from agents.data.files.records import shortened
from agents.data.pii.rules import Found, find_pii, mask_pii
from agents.data.row_keys import answer_text, seen_key
from agents.data.statistics import REPLACEMENT
from agents.data.types import Row

EXAMPLES = 5
EXAMPLE_CHARACTERS = 120
#: Fields that are named, of those that are not used.
NAMED_FIELDS = 20
#: Row numbers listed per finding; the count goes on.
LISTED_ROWS = 1000
#: Of one label, that are shown.
TOLD_SPELLINGS = 5
#: Rows of a label from which on a source that begins with all of one is sorted, and not so by chance.
SORTED_ROWS_LEAST = 5


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
    """Collects findings as rows pass; keeps a digest of each different text."""

    def __init__(self, maximum_characters: int, find: Callable[[str], list[Found]] = find_pii) -> None:
        self.maximum_characters = maximum_characters
        self._find = find
        self.found: dict[str, Finding] = {}
        self.rows = 0
        self.damaged_rows = 0
        self.rows_with_pii = 0
        self._places: dict[bytes, int] = {}
        self._numbers, self._answers = array("Q"), array("q")
        self._label_of: dict[int, str] = {}
        self._labels: Counter[str] = Counter()
        self._label_before: str | None = None
        self._label_changes = 0

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
            self._labels[row.label] += 1
            self._label_changes += row.label != self._label_before
            self._label_before = row.label
        if judged.is_empty:
            self.note("empty", number, judged.masked)
            return judged
        if len(text) > self.maximum_characters:
            self.note("too_long", number, judged.masked)
        if REPLACEMENT in text:
            self.damaged_rows += 1
            self.note("encoding_damage", number, judged.masked)
        if garbled := looks_garbled(text):
            self.note("garbled" if garbled == "wrong_encoding" else garbled, number, judged.masked)
        for kind, count in Counter(found.kind for found in pii).items():
            self.note(f"pii.{kind}", number, judged.masked, count)
        self.rows_with_pii += bool(pii)
        self._compare(row, judged.masked)
        return judged

    def note(self, kind: str, row: int | None, masked: str, count: int = 1) -> None:
        """Count a finding, with the row's number and what may be shown of it."""
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
        """Note labels that are rare, those that differ only in how they are written, and rows sorted by label."""
        total = sum(label_counts.values())
        for label, count in label_counts.items():
            if count < least_share(minimum_share, len(label_counts)) * total:
                self.note("rare_label", None, f"'{shortened(label)}': {count} of {total} rows")
        spellings: defaultdict[str, list[str]] = defaultdict(list)
        for label in self._labels:
            spellings[spelling_key(label)].append(label)
        for names in spellings.values():
            if len(names) > 1:
                told = ", ".join(f"'{shortened(name)}' x {self._labels[name]}" for name in names[:TOLD_SPELLINGS])
                self.note("label_spelling", None, told)
        if 1 < self._label_changes == len(self._labels) and self.rows >= SORTED_ROWS_LEAST * len(self._labels):
            self.note("sorted_by_label", None, f"first '{shortened(next(iter(self._labels)))}'", self.rows)

    def count(self, kind: str) -> int:
        """Return how often a kind was found."""
        return self.found[kind].count if kind in self.found else 0

    def counts(self) -> dict[str, int]:
        return {kind: self.found[kind].count for kind in sorted(self.found)}

    def _compare(self, row: Row, masked: str) -> None:
        key = blake2b(seen_key(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        answer = hash(answer_text(row))
        if row.messages is None:
            self._label_of.setdefault(answer, row.label)
        place = self._places.setdefault(key, len(self._numbers))
        if place == len(self._numbers):
            self._numbers.append(row.number)
            self._answers.append(answer)
            return
        first, first_answer = self._numbers[place], self._answers[place]
        if first_answer == answer:
            self.note("duplicate", row.number, f"{masked} [as row {first}]")
        elif row.messages is None:
            other = shortened(self._label_of[first_answer])
            self.note("conflicting_label", row.number, f"'{shortened(row.label)}', but row {first} '{other}': {masked}")
        else:
            # Of answers nothing is shown: only what is masked is.
            self.note("several_answers", row.number, f"{masked} [as row {first}]")


def _excerpt(masked: str, kind: str) -> str:
    """Cut a long text around what was found in it, which for PII is its mask."""
    at = max(0, masked.find(f"[{kind.removeprefix('pii.').upper()}]"))
    start = max(0, min(at - EXAMPLE_CHARACTERS // 2, len(masked) - EXAMPLE_CHARACTERS))
    end = start + EXAMPLE_CHARACTERS
    return f"{'…' if start else ''}{masked[start:end]}{'…' if end < len(masked) else ''}"


def least_share(minimum_share: float, labels: int) -> float:
    """Return the least share of a label: `minimum_share` of two labels, and in proportion less of more."""
    return minimum_share * 2 / max(2, labels)
