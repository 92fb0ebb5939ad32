"""Which language a text looks like: pairs of letters of some fifty languages, learned from a few sentences of each."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from math import log
from pathlib import Path
from typing import NamedTuple

#: A language a line: its name, its script, its letters beyond ASCII, sentences in it (of Chinese, Japanese and Korean
#: their most frequent characters).
SAMPLES = Path(__file__).with_name("languages.tsv")
#: Scripts without an alphabet: a character tells by how frequent it is.
SYLLABIC = ("han", "hangul")
#: The natural logarithm of how likely a thing is that the language does not have.
FOREIGN = -11.0
#: Of a character of Chinese, Japanese or Korean: a frequent one, kana, one of the everyday set, another.
FREQUENT, KANA, EVERYDAY, RARE = -5.7, -4.2, -8.3, -13.0
#: Of a Latin letter in a word with such characters.
BESIDE = -6.0
#: What its everyday characters are: the first level of the national standard.
EVERYDAY_CODECS = {
    "Simplified Chinese": ("gb2312", 0xB0, 0xD7),
    "Traditional Chinese": ("big5", 0xA4, 0xC6),
    "Japanese": ("euc_jp", 0xB0, 0xCF),
    "Korean": ("euc_kr", 0xB0, 0xC8),
}
#: Of what a pair is expected to be: so much by the pairs seen, the rest by how frequent its second letter is.
PAIR_SHARE = 0.75
EDGE = " "
#: Forms of letters that encodings don't all have -> the form that they are compared in.
FORMS = str.maketrans({"\u0219": "\u015f", "\u021b": "\u0163", "\u06cc": "\u064a", "\u0130": "i"})


class Language(NamedTuple):
    """What is known of one language. `pairs`: a letter and the one before it -> the logarithm of its probability."""

    name: str
    script: str
    letters: Mapping[str, float]
    pairs: Mapping[str, float]
    frequent: frozenset[str]


@cache
def languages() -> dict[str, Language]:
    """Return the languages by name."""
    lines = SAMPLES.read_text(encoding="utf-8").splitlines()
    return {found.name: found for found in map(_learned, lines)}


def _learned(line: str) -> Language:
    name, script, letters, text = line.split("\t")
    if script in SYLLABIC:
        return Language(name, script, dict.fromkeys(letters, KANA), {}, frozenset(text))
    ascii_letters = "abcdefghijklmnopqrstuvwxyz" if script == "latin" else ""
    words = [_plain(word) for word in words_of(text)]
    singles = Counter(letters + ascii_letters) + Counter("".join(words))
    total = sum(singles.values())
    alphabet = {letter: count / total for letter, count in singles.items()} | {EDGE: 0.15}
    pairs = Counter(pair for word in words for pair in zip(EDGE + word, word + EDGE, strict=True))
    firsts = Counter(first for first, _ in pairs.elements())
    learned = {
        first + second: log(PAIR_SHARE * count / firsts[first] + (1 - PAIR_SHARE) * alphabet[second])
        for (first, second), count in pairs.items()
    }
    return Language(
        name, script, {key: log((1 - PAIR_SHARE) * share) for key, share in alphabet.items()}, learned, frozenset()
    )


def word_likelihood(word: str, language: Language) -> float:
    """Return the logarithm of how likely a word of this language is this one, by its pairs of letters and its case."""
    if language.script in SYLLABIC:
        return sum(_character_likelihood(character, language) for character in word)
    lowered = _plain(word)
    found = 0.0
    for pair in map("".join, zip(EDGE + lowered, lowered + EDGE, strict=True)):
        likelihood = language.pairs.get(pair)
        found += language.letters.get(pair[1], FOREIGN) if likelihood is None else likelihood
    # Upper case inside a word: a wrong Cyrillic encoding makes `оЧЕНЬ` of `Очень`.
    turns = sum(first.islower() and second.isupper() for first, second in pairwise(word))
    return found - 6.0 * turns - (1.0 if len(word) > 1 and word.isupper() else 0.0)


def _plain(word: str) -> str:
    return word.translate(FORMS).lower()


def _character_likelihood(character: str, language: Language) -> float:
    if character in language.frequent:
        return FREQUENT
    if (kana := language.letters.get(character)) is not None:
        return kana
    if character.isascii():
        return BESIDE
    return EVERYDAY if is_everyday(character, language.name) else RARE


@cache
def is_everyday(character: str, language: str) -> bool:
    """Say whether a character is in the first level of the language's national standard."""
    codec, first, last = EVERYDAY_CODECS[language]
    try:
        code = character.encode(codec)
    except UnicodeEncodeError:
        return False
    return len(code) == 2 and first <= code[0] <= last


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text: runs of letters with their marks."""
    begin = None
    for place, character in enumerate(text):
        if is_letter(character):
            begin = place if begin is None else begin
        elif begin is not None:
            yield text[begin:place]
            begin = None
    if begin is not None:
        yield text[begin:]


@cache
def is_letter(character: str) -> bool:
    """Say whether a character is a letter or a mark on one."""
    return unicodedata.category(character)[0] in "LM"


def likeliest(words: Iterable[str], among: Iterable[str]) -> str:
    """Return which of these languages makes the words likeliest."""
    known, found = languages(), list(words)
    return max(among, key=lambda name: sum(word_likelihood(word, known[name]) for word in found))
