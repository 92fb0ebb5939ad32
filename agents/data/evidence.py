"""What is in a column: sentences, short values, addresses, dates ..., from a sample of its cells."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any, NamedTuple

from agents.data.files.records import as_text, shortened
from agents.data.labels import written_list

#: What cells are, in the words of a sentence, and how it is told of one; the first that fits most cells.
FORMS: dict[str, re.Pattern[str]] = {
    "e-mail addresses": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "links": re.compile(r"(?:https?|ftp|s3)://\S+|www\.\S+", re.IGNORECASE),
    "names of files": re.compile(
        r"[^\n]{0,200}\.(?:pdf|docx?|txt|md|rtf|png|jpe?g|gif|webp|csv|tsv|jsonl?|xml|html?|wav|mp3|mp4|zip|xlsx?|eml|py)",
        re.IGNORECASE,
    ),
    "dates": re.compile(
        r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T,]\s*\d{1,2}:\d{2}.*)?"
        r"|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[, ].*\d{2}.*|[a-z]{3,9}\.? \d{1,2},? \d{4}|\d{1,2}:\d{2}(?::\d{2})?",
        re.IGNORECASE,
    ),
    "numbers": re.compile(r"[-+]?(?:\d[\d.,]*|[.,]\d+)(?:e[-+]?\d+)?%?", re.IGNORECASE),
    "ids": re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?=\S*\d)[a-z0-9_:#/-]{2,}", re.IGNORECASE),
}
#: Of the cells that have to be of a kind.
MOST = 0.8
#: Characters of scripts without blanks that are about a word.
WORD_CHARACTERS = 3
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
#: So many numbers that go on by one count rows.
FEWEST_COUNTED = 5
#: Of an answer, on average.
ANSWER_WORDS = 3
#: A column with longer cells on average is not a label; with longer ones of few words, no text is meant by its words.
LABEL_CHARACTERS = 40


class Evidence(NamedTuple):
    """What a sample of rows has in one column."""

    name: str
    holds: str
    """`texts` of several words, short `values`, `lists`, `objects`, `JSON`, or one of `FORMS`; `nothing`."""
    filled: int
    """Cells that are not empty."""
    distinct: int
    characters: float
    """Of a cell, on average."""
    words: float
    example: str
    counts: bool = False
    """Whether its numbers count the rows."""

    @property
    def is_text(self) -> bool:
        """Whether texts may be meant."""
        return self.holds in ("texts", "values")

    @property
    def is_label(self) -> bool:
        """Whether the cells look like labels: short, of several values, fewer than half of the rows."""
        return self.is_short and 2 <= self.distinct <= max(2, self.filled // 2)

    @property
    def is_short(self) -> bool:
        """Whether the cells are as short as labels, and of a kind that these may be."""
        return self.holds in ("texts", "values", "numbers", "lists", "ids") and self.characters <= LABEL_CHARACTERS

    @property
    def is_constant(self) -> bool:
        """Whether the cells are one short value, which says nothing."""
        return self.is_short and self.distinct == 1

    @property
    def is_answer(self) -> bool:
        """Whether the cells look like answers: several words, different in most rows."""
        return self.holds == "texts" and self.words >= ANSWER_WORDS and 2 <= self.distinct > self.filled / 2

    def shown(self) -> str:
        """Return the column with one of its cells, for a sentence."""
        return f"'{shortened(self.name)}' (such as '{self.example}')"


def evidence_of(name: str, sample: Sequence[Mapping[str, Any]]) -> Evidence:
    """Look at the cells of a column."""
    found = [cell for row in sample if (cell := row.get(name)) is not None and cell not in ("", [], {})]
    texts = [_as_text(cell) for cell in found]
    counts = Counter(texts)
    words = fmean(map(_words, texts)) if texts else 0.0
    characters = fmean(map(len, texts)) if texts else 0.0
    example = shortened(" ".join(texts[0].split()), 40) if texts else ""
    holds = _holds(found, texts, counts, words)
    counting = holds == "numbers" and _counts(texts)
    return Evidence(name, holds, len(texts), len(counts), characters, words, example, counting)


def _as_text(cell: Any) -> str:
    return json.dumps(cell, ensure_ascii=False, default=str) if isinstance(cell, list | dict) else as_text(cell) or ""


def _counts(texts: Sequence[str]) -> bool:
    """Say whether numbers go on by one from row to row."""
    if len(texts) < FEWEST_COUNTED or not all(text.isdecimal() and len(text) < 16 for text in texts):
        return False
    return all(int(after) == int(before) + 1 for before, after in pairwise(texts))


def _words(text: str) -> float:
    unspaced = len(UNSPACED.findall(text)) if not text.isascii() else 0
    return max(len(text.split()), unspaced / WORD_CHARACTERS)


def _holds(cells: Sequence[Any], texts: Sequence[str], counts: Mapping[str, int], words: float) -> str:
    if not cells:
        return "nothing"
    for what, kind in (("lists", list), ("objects", dict)):
        if sum(isinstance(cell, kind) for cell in cells) >= MOST * len(cells):
            return what
    if sum(map(_is_json, texts)) >= MOST * len(texts):
        return "lists" if sum(written_list(text) is not None for text in texts) >= MOST * len(texts) else "JSON"
    for what, form in FORMS.items():
        if sum(form.fullmatch(text.strip()) is not None for text in texts) >= MOST * len(texts):
            # Few different ones are classes with a number in their names.
            if what == "ids" and (len(texts) < 3 or len(counts) < MOST * len(texts)):
                continue
            return what
    return "texts" if words >= 1.5 else "values"


def _is_json(text: str) -> bool:
    stripped = text.strip()
    if stripped[:1] + stripped[-1:] not in ("{}", "[]"):
        return False
    try:
        return isinstance(json.loads(stripped), dict | list)
    except (ValueError, RecursionError):
        return False
