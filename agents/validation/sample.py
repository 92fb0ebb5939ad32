"""A sample of the rows, looked at closely: which languages they are in, and how long they are in tokens."""

from array import array
from collections import Counter
from functools import cache
from math import ceil
from typing import Any, Protocol

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from agents.data.statistics import spread_of
from agents.validation.findings import Findings

SAMPLE_ROWS = 5000
#: More of a text seldom changes which language is found, and takes time.
LOOKED_AT_CHARACTERS = 500
#: Below this probability a language is not named: short texts look like several.
SURE = 0.8
UNDETERMINED = "und"
#: Numbers, markup and the like.
NO_LANGUAGE = "zxx"


class CountsTokens(Protocol):
    """What counts tokens; `max_tokens`: how many of them fit."""

    @property
    def max_tokens(self) -> int: ...

    def count(self, text: str) -> int: ...


class Sample:
    """Up to 5,000 rows spread evenly over all.

    Languages by py3langid: naive Bayes over byte n-grams (Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language
    Identification Tool").
    """

    def __init__(self, row_count: int, tokens: CountsTokens | None = None) -> None:
        """`row_count`: of all rows. Without `tokens` none are counted."""
        self._every = max(1, ceil(row_count / SAMPLE_ROWS))
        self._counter = tokens
        self._languages: list[tuple[str, int, str]] = []
        self._tokens = array("Q")

    def look(self, place: int, row: int, text: str, masked: str, findings: Findings) -> None:
        """Look at a row if its `place` among all is in the sample. `masked`: how it may be shown."""
        if place % self._every or not text.strip():
            return
        self._languages.append((identifier().classify(text[:LOOKED_AT_CHARACTERS])[0], row, masked))
        if self._counter:
            tokens = self._counter.count(text)
            self._tokens.append(tokens)
            if tokens > self._counter.max_tokens:
                findings.note("over_context", row, f"{tokens} tokens: {masked}")

    def note_languages(self, findings: Findings) -> None:
        """Note the rows in another language than most."""
        counts = self._counts()
        known = [language for language in counts if language not in (UNDETERMINED, NO_LANGUAGE)]
        for language, row, masked in self._languages:
            if language in known[1:]:
                findings.note("other_language", row, f"{language}: {masked}")

    def figures(self) -> dict[str, Any]:
        """Return how many rows were looked at, rows by language (ISO 639; `und`: undetermined), and tokens a row."""
        found: dict[str, Any] = {"rows": len(self._languages), "languages": self._counts()}
        if self._counter:
            found["tokens"] = {**spread_of(self._tokens), "fitting": self._counter.max_tokens}
        return found

    def _counts(self) -> dict[str, int]:
        """Return rows by language, the commonest first."""
        counts = Counter(language for language, _, _ in self._languages)
        return dict(sorted(counts.items(), key=lambda found: (-found[1], found[0])))


@cache
def identifier() -> LanguageIdentifier:
    """Return what tells languages; kept, since unpacking it is slow."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=SURE)
