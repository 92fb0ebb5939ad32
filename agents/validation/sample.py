"""A sample of the rows, looked at closely: which languages they are in, and how long they are in tokens."""

from array import array
from collections import Counter
from functools import cache
from math import ceil
from typing import Any, NamedTuple, Protocol

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from agents.data.cleaning import exact_key
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


class Tokens(NamedTuple):
    """A text as the model sees it. `of_text`: without those that the tokenizer adds to each text; `unknown`: of them,
    that stand for what it doesn't know; `digest`: equal for equal tokens; `special_text`: part of it is read as markup.
    """

    total: int
    of_text: int
    unknown: int
    digest: int
    special_text: bool


class CountsTokens(Protocol):
    """What counts tokens; `max_tokens`: how many of them fit."""

    @property
    def max_tokens(self) -> int: ...

    def count(self, text: str) -> Tokens: ...


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
        self._tokens_of_text = self._unknown = 0
        self._with_tokens: dict[int, tuple[int, str]] = {}

    def look(self, place: int, row: int, text: str, masked: str, findings: Findings) -> None:
        """Look at a row if its `place` among all is in the sample. `masked`: how it may be shown."""
        if place % self._every or not text.strip():
            return
        self._languages.append((identifier().classify(text[:LOOKED_AT_CHARACTERS])[0], row, masked))
        if self._counter:
            self._look_at_tokens(self._counter.count(text), self._counter.max_tokens, row, text, masked, findings)

    @property
    def rows(self) -> int:
        return len(self._languages)

    @property
    def unknown_share(self) -> float:
        """Of all tokens of texts."""
        return self._unknown / max(1, self._tokens_of_text)

    def _look_at_tokens(
        self, tokens: Tokens, fitting: int, row: int, text: str, masked: str, findings: Findings
    ) -> None:
        self._tokens.append(tokens.total)
        self._tokens_of_text += tokens.of_text
        self._unknown += tokens.unknown
        if tokens.total > fitting:
            findings.note("over_context", row, f"{tokens.total} tokens: {masked}")
        if tokens.unknown:
            findings.note("unknown_tokens", row, f"{tokens.unknown} of {tokens.of_text}: {masked}")
        if tokens.special_text:
            findings.note("special_token_in_text", row, masked)
        key = exact_key(text)
        first, first_key = self._with_tokens.setdefault(tokens.digest, (row, key))
        if first_key != key:
            findings.note("same_tokens", row, f"{masked} [as row {first}]")

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
            spread = {**spread_of(self._tokens), "fitting": self._counter.max_tokens}
            found["tokens"] = {**spread, "unknown_share": round(self.unknown_share, 4)}
        return found

    def _counts(self) -> dict[str, int]:
        """Return rows by language, the commonest first."""
        counts = Counter(language for language, _, _ in self._languages)
        return dict(sorted(counts.items(), key=lambda found: (-found[1], found[0])))


@cache
def identifier() -> LanguageIdentifier:
    """Return what tells languages; kept, since unpacking it is slow."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=SURE)
