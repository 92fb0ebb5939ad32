"""Cleaning of text: the same for training rows and for what is predicted later."""

import re
import unicodedata

#: Characters that nobody sees: zero-width ones, marks of direction, soft hyphens, BOMs. The joiners
#: U+200C and U+200D stay: scripts and emoji are written with them.
INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: Full-width forms and ligatures, which NFKC makes plain; its other changes (², ½, ™) would lose meaning.
COMPATIBLE = re.compile("[\uff01-\uff5e\uffe0-\uffe6\ufb00-\ufb06]+")


def clean_text(text: str) -> str:
    """Return a text in NFC with plain forms of full-width letters, and single blanks. Cleaning twice changes nothing.

    Case, punctuation, digits and U+FFFD stay as they are.
    """
    if not text.isascii():
        text = COMPATIBLE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), INVISIBLE.sub("", text))
        text = unicodedata.normalize("NFC", text)
    return " ".join(CONTROL.sub(" ", text).split())


def exact_key(text: str) -> str:
    """Return what two texts share that differ only in case, blanks and forms of characters."""
    return clean_text(unicodedata.normalize("NFKC", text).casefold())
