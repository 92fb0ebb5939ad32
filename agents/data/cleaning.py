"""Cleaning of text: the same for training rows and for what is predicted later."""

import re
import unicodedata

#: Invisible characters: zero-width ones, marks of direction, soft hyphens, BOMs. The joiners
#: U+200C and U+200D stay: scripts and emoji are written with them.
UNSEEN = "\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
INVISIBLE = re.compile(f"[{UNSEEN}]")
#: What is neither a blank nor invisible.
VISIBLE = re.compile(rf"[^\s{UNSEEN}]")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: Full-width forms and ligatures, which NFKC makes plain; its other changes (², ½, ™) would lose meaning.
COMPATIBLE = re.compile("[\uff01-\uff5e\uffe0-\uffe6\ufb00-\ufb06]+")


def clean_text(text: str) -> str:
    """Return a text in NFC with plain forms of full-width letters, and single blanks. Cleaning twice changes nothing.

    Case, punctuation, digits and U+FFFD stay as they are.
    """
    return " ".join(CONTROL.sub(" ", _plain_forms(text)).split())


def clean_content(text: str) -> str:
    """Return a turn of a conversation cleaned as `clean_text` does, but with its lines and indents as they are."""
    lines = CONTROL.sub(" ", _plain_forms(text.replace("\r\n", "\n"))).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _plain_forms(text: str) -> str:
    if text.isascii():
        return text
    text = COMPATIBLE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), INVISIBLE.sub("", text))
    return unicodedata.normalize("NFC", text)


def exact_key(text: str) -> str:
    """Return what two texts share that differ only in case, blanks and forms of characters."""
    return clean_text(unicodedata.normalize("NFKC", text).casefold())
