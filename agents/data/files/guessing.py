"""The encoding of a text that says nothing of it and is not UTF-8: by what its letters spell, or asked for.

Each encoding that people's files are in is tried on lines with such bytes. What it makes of them is weighed by how
likely it is in the languages that are written in it: letters and pairs of letters, symbols where symbols stand. An
encoding that makes noise of them is out; one that stands alone is taken; and where two are near, charset-normalizer has
to agree with the better one. Else the user is asked.

Source of the weighing: naive Bayes over pairs of letters, as in Cavnar and Trenkle, "N-Gram-Based Text Categorization"
(1994), and in Mozilla's detector (Li and Momoi, "A Composite Approach to Language/Encoding Detection", 2001).
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from charset_normalizer import from_bytes

from agents.base.errors import InvalidData
from agents.data.files.languages import FOREIGN, FORMS, SYLLABIC, is_letter, languages, word_likelihood, words_of
from agents.data.files.records import shortened

WEST = (
    *("English", "German", "French", "Spanish", "Portuguese", "Italian", "Dutch", "Swedish", "Danish", "Norwegian"),
    *("Finnish", "Icelandic", "Catalan", "Albanian", "Irish"),
)
CENTRE = ("Polish", "Czech", "Slovak", "Hungarian", "Romanian", "Croatian", "Slovenian", "German")
BALTIC = ("Lithuanian", "Latvian", "Estonian")
CYRILLIC = ("Russian", "Ukrainian", "Bulgarian", "Serbian", "Belarusian")
#: Encoding -> the logarithm of how frequent it is among files, and the languages that are written in it.
ENCODINGS: dict[str, tuple[float, tuple[str, ...]]] = {
    "cp1252": (0.0, WEST),
    "gb18030": (-1.5, ("Simplified Chinese", "Japanese", "Russian")),
    "cp932": (-1.5, ("Japanese", "Russian")),
    "cp950": (-1.5, ("Traditional Chinese",)),
    "cp949": (-1.5, ("Korean", "Russian")),
    "euc_jp": (-2.5, ("Japanese", "Russian")),
    "cp1251": (-1.5, CYRILLIC),
    "cp1250": (-1.5, CENTRE),
    "cp1253": (-1.5, ("Greek",)),
    "cp1254": (-1.5, ("Turkish",)),
    "cp1255": (-1.5, ("Hebrew",)),
    "cp1256": (-1.5, ("Arabic", "Persian")),
    "cp1257": (-1.5, BALTIC),
    "cp1258": (-2.5, ("Vietnamese",)),
    "cp874": (-1.5, ("Thai",)),
    "koi8_r": (-2.5, ("Russian", "Bulgarian")),
    "koi8_u": (-3.0, ("Ukrainian", "Russian")),
    "iso8859_2": (-2.5, CENTRE),
    "iso8859_15": (-2.5, WEST),
    "iso8859_5": (-3.5, CYRILLIC),
    "iso8859_6": (-3.5, ("Arabic",)),
    "iso8859_7": (-2.5, ("Greek",)),
    "iso8859_8": (-3.0, ("Hebrew",)),
    "iso8859_9": (-2.5, ("Turkish",)),
    "iso8859_13": (-3.0, BALTIC),
    "iso8859_4": (-3.5, BALTIC),
    "iso8859_16": (-3.5, ("Romanian",)),
    "mac_roman": (-6.0, WEST),
    "mac_cyrillic": (-5.0, CYRILLIC),
    "mac_latin2": (-6.0, CENTRE),
    "cp850": (-6.0, WEST),
    "cp437": (-6.5, WEST),
    "cp852": (-5.0, CENTRE),
    "cp866": (-3.5, CYRILLIC),
    "cp737": (-5.5, ("Greek",)),
    "cp862": (-5.5, ("Hebrew",)),
    "cp857": (-6.0, ("Turkish",)),
    "cp775": (-6.0, BALTIC),
}
DAMAGED = "utf-8"
#: Different words that are looked at: with letters beyond ASCII, and without.
WORDS, ASCII_WORDS, SYMBOLS = 300, 200, 200
#: Characters of a sample, and of a word, that are looked at: a line may be as long as its file.
LOOKED_AT, WORD_CHARACTERS = 1 << 16, 64
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
#: Symbols of running text; another one tells of a wrong encoding.
TYPOGRAPHY = frozenset(
    "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb\u2013\u2014\u2026\u20ac\u00a3\u00a9\u00ae\u2122\u00b0\u00bf\u00a1\u2022\u00a0\u00b7\u2022\u00a7\u2116"
)
SELDOM = frozenset(
    "\u00bd\u00bc\u00be\u00b2\u00b3\u00b9\u00d7\u00f7\u00b1\u00b5\u00a5\u00a2\u00b4\u00a8\u00ac\u2020\u2039\u203a\u00b6\u00ad\u00a6\u00ba\u00aa\u02dc\u200c\u200e\u200f\u200b\u0e3f\u20aa\u055a"
)
DASHES = "\u2013\u2014"
CLOSING = "\u2019\u201d"
INSIDE_WORDS = frozenset("\u2019\u2018\u00ad\u00b7\u2013\u2014\u200c\u00b4\u00a0")
#: Of a letter, its word's end or a symbol, on average: below it is noise. Of characters with two bytes each twice that.
NOISE, WIDE_NOISE = -5.6, -9.5
#: What likelihoods of letters are worth: they are not as independent as the model takes them.
TEMPER = 0.5
#: The logarithm of how much likelier an encoding is than the next one to be sure, and with charset-normalizer's word.
SURE, SURE_TOGETHER = 4.5, 2.0
ASKED, SHOWN_CHARACTERS = 3, 40


class Guess(NamedTuple):
    """What an encoding makes of a sample. `weight`: the logarithm of how likely it is; `noise`: it spells nothing."""

    encoding: str
    language: str
    text: str
    weight: float
    noise: bool


def guess_encoding(name: str, lines: Sequence[bytes], *, utf8: bool = False) -> Guess:
    """Return the encoding that lines are in, which have bytes beyond ASCII and are not UTF-8.

    `utf8`: there are characters of UTF-8 among them, so that they may be UTF-8 with damage.

    Raises:
        InvalidData: it can't be told for sure; names the likeliest, with what each makes of a line.
    """
    sample = b"\n".join(lines)
    tried = [_tried(one, sample) for one in (*ENCODINGS, *([DAMAGED] if utf8 else []))]
    guesses = sorted((found for found in tried if found), key=lambda found: -found.weight)
    spelled = [found for found in guesses if not found.noise]
    if spelled and _is_sure(spelled, sample):
        return spelled[0]
    raise InvalidData(
        f"'{name}' is not UTF-8, and its encoding can't be told for sure{_readings(spelled or guesses)}.",
        cure="Name the one that reads right in the dataset node's `encoding` (`-p encoding=...`), or save the file as "
        "UTF-8.",
    )


def _readings(guesses: Sequence[Guess]) -> str:
    """Return what the likeliest encodings make of a line, each different from the others."""
    shown: dict[str, str] = {}
    for found in guesses:
        line = next(iter(found.text.splitlines()), "").strip()
        shown.setdefault(_around_letters(line), found.encoding)
    told = [f"{encoding} reads '{line}'" for line, encoding in list(shown.items())[:ASKED]]
    return f": {', '.join(told)}" if told else ""


def _around_letters(line: str) -> str:
    """Return the part of a line where the first character beyond ASCII is."""
    place = next((place for place, character in enumerate(line) if not character.isascii()), 0)
    return shortened(line[max(0, place - SHOWN_CHARACTERS // 2) :], SHOWN_CHARACTERS)


def _is_sure(guesses: Sequence[Guess], sample: bytes) -> bool:
    best = guesses[0]
    read = best.text.translate(FORMS)
    other = next((found for found in guesses if found.text.translate(FORMS) != read), None)
    margin = best.weight - other.weight if other else SURE
    if margin >= SURE or margin < SURE_TOGETHER:
        return margin >= SURE
    found = from_bytes(sample, cp_isolation=[one.encoding for one in guesses]).best()
    return found is not None and str(found) == best.text


def _tried(encoding: str, sample: bytes) -> Guess | None:
    """Return what an encoding makes of a sample; None: some bytes are none of its characters."""
    prior, names = ENCODINGS.get(encoding, (0.0, tuple(languages())))
    try:
        text = sample.decode(encoding, "replace" if encoding == DAMAGED else "strict")
    except UnicodeDecodeError:
        return None
    looked_at = _telling_part(text)
    read = unicodedata.normalize("NFC", looked_at) if encoding == "cp1258" else looked_at
    telling, plain = _words(read)
    symbols = _symbols(read, names[0])
    weights = {name: _weight(telling, plain, name) for name in names}
    language = languages()[max(weights, key=lambda name: weights[name])]
    wide = language.script in SYLLABIC
    count = sum(len(word) + (not wide) for word in telling) + len(symbols)
    average = (sum(word_likelihood(word, language) for word in telling) + sum(symbols)) / max(1, count)
    weight = prior + TEMPER * (weights[language.name] + sum(symbols))
    return Guess(encoding, language.name, text, weight, average < (WIDE_NOISE if wide else NOISE))


def _telling_part(text: str) -> str:
    """Return what is looked at of a text: from shortly before its first character beyond ASCII on."""
    if len(text) <= LOOKED_AT:
        return text
    first = BEYOND_ASCII.search(text)
    start = max(0, (first.start() if first else 0) - LOOKED_AT // 8)
    return text[start : start + LOOKED_AT]


def _words(text: str) -> tuple[list[str], list[str]]:
    """Return different words of a text: those with letters beyond ASCII, and the others."""
    telling: dict[str, None] = {}
    plain: dict[str, None] = {}
    for whole in words_of(text):
        word = whole[:WORD_CHARACTERS]
        if not word.isascii() and len(telling) < WORDS:
            telling[word] = None
        elif word.isascii() and len(plain) < ASCII_WORDS:
            plain[word] = None
    return list(telling), list(plain)


def _weight(telling: Sequence[str], plain: Sequence[str], name: str) -> float:
    """Return how likely the words are in a language, among which some of English stand."""
    language, english = languages()[name], languages()["English"]
    found = sum(word_likelihood(word, language) for word in telling)
    if language.script != "latin":
        return found + sum(word_likelihood(word, english) for word in plain)
    return found + sum(max(word_likelihood(word, language), word_likelihood(word, english)) for word in plain)


def _symbols(text: str, language: str) -> list[float]:
    """Return how likely each character beyond ASCII is that is no letter, once between the same neighbours."""
    wide = languages()[language].script in SYLLABIC
    seen: dict[str, None] = {}
    padded = f" {text} "
    for place, character in enumerate(padded):
        if not character.isascii() and not is_letter(character) and len(seen) < SYMBOLS:
            seen[padded[place - 1 : place + 2]] = None
    return [_symbol(is_letter(near[0]), near[1], is_letter(near[2]), wide) for near in seen]


def _symbol(before: bool, character: str, after: bool, wide: bool) -> float:
    if wide:
        return -7.0 if "\u3000" <= character <= "\u303f" or "\uff01" <= character <= "\uff5e" else 2 * FOREIGN / 1.5
    if unicodedata.category(character) in ("Cc", "Cn", "Co"):
        return 2 * FOREIGN
    if before and after and character not in INSIDE_WORDS:
        return FOREIGN
    if (before != after and character in DASHES) or (after and not before and character in CLOSING):
        return -8.0
    return -3.0 if character in TYPOGRAPHY else -6.5 if character in SELDOM else FOREIGN
