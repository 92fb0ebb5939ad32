"""Lines of text with a label in them: `__label__spam Win now`, `The profit rose@positive`, `1 a good film`."""

import re
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

#: What people put between a text and its label.
MARKS = ("\t", ";", "|", "@", "#", "::", ",")
#: A label of a line: not longer, and of few words.
LABEL_CHARACTERS, LABEL_WORDS, LABELS_MOST = 40, 3, 50
FEWEST_LINES, MARKED_SHARE = 3, 0.99
#: Where a blank is between a label and its text, the label is a number or made of two words.
LEADING_LABEL = re.compile(r"(?:[-+]?\d{1,2}|\w+:\w+)$")
FASTTEXT = re.compile(r"(?:^|(?<=\s))__label__(\S+)(?:\s+|$)")


class MarkedLines(NamedTuple):
    """What stands between the text and the label of each line, and whether the label comes last."""

    mark: str
    label_last: bool

    def cut(self, line: str) -> tuple[str, str] | None:
        """Return text and label of a line; None: it lacks the mark."""
        before, mark, after = line.rpartition(self.mark) if self.label_last else line.partition(self.mark)
        if not mark:
            return None
        return (before.strip(), after.strip()) if self.label_last else (after.strip(), before.strip())


class LineForm(NamedTuple):
    """How lines of text hold labels: behind a mark, or in fastText's form, which may have several a line."""

    marked: MarkedLines | None = None
    several: bool = False

    def values(self, line: str) -> dict[str, Any]:
        """Return a line as a record."""
        if self.marked:
            pair = self.marked.cut(line)
            return {"text": pair[0], "label": pair[1]} if pair else {"text": line}
        labels, text = labels_of(line)
        if not labels:
            return {"text": line}
        return (
            {"text": text, "labels": labels} if self.several or len(labels) > 1 else {"text": text, "label": labels[0]}
        )


def find_line_form(lines: Sequence[str], marks: bool) -> LineForm:
    """Return how lines of text hold their labels. `marks`: also behind a mark, not only after `__label__`."""
    counts = [len(labels_of(line)[0]) for line in lines]
    return LineForm(find_marked_lines(lines) if marks and not any(counts) else None, max(counts, default=0) > 1)


def labels_of(line: str) -> tuple[list[str], str]:
    """Return the labels of a line in fastText's form, and its text."""
    if "__label__" not in line:
        return [], line
    first, _, text = line.partition(" ")
    if first.startswith("__label__") and line.count("__label__") == 1 and text.strip():
        return [first[len("__label__") :]], text.strip()
    labels = FASTTEXT.findall(line)
    return labels, FASTTEXT.sub("", line).strip() if labels else line


def find_marked_lines(lines: Sequence[str]) -> MarkedLines | None:
    """Return how lines hold their labels; None: they don't, or more than one way is as good."""
    ways = [MarkedLines(mark, last) for mark in MARKS for last in (True, False)] + [MarkedLines(" ", False)]
    found = [way for way in ways if _fits(way, lines)]
    return found[0] if len(found) == 1 else None


def _fits(way: MarkedLines, lines: Sequence[str]) -> bool:
    """Say whether all lines end (or begin) with one of a few labels."""
    if len(lines) < FEWEST_LINES:
        return False
    pairs = [pair for line in lines if (pair := way.cut(line)) is not None and all(pair)]
    if len(pairs) < MARKED_SHARE * len(lines):
        return False
    counts = Counter(label for _, label in pairs)
    if not 2 <= len(counts) <= min(LABELS_MOST, max(2, 2 * len(lines) // 3)):
        return False
    if any(len(label) > LABEL_CHARACTERS or len(label.split()) > LABEL_WORDS for label in counts):
        return False
    if way.mark == " " and not all(LEADING_LABEL.match(label) for label in counts):
        return False
    texts = [text for text, _ in pairs]
    return len(set(texts)) > len(counts) and fmean(map(len, texts)) > fmean(map(len, counts))
