"""Cleaning of text: the same for training rows and for what is predicted later."""

import re
import unicodedata

#: Invisible characters: zero-width ones, marks of direction, soft hyphens, BOMs. The joiners
#: U+200C and U+200D stay: scripts and emoji are written with them.
UNSEEN = "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
INVISIBLE = re.compile(f"[{UNSEEN}]")
#: What is neither a blank nor invisible.
VISIBLE = re.compile(rf"[^\s{UNSEEN}]")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: Full-width letters and digits, and ligatures, which NFKC makes plain; its other changes (², ½, ™) would lose meaning.
#: Full-width punctuation stays: it is how Chinese and Japanese are written.
COMPATIBLE = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\ufb00-\ufb06]+")
#: What looks like nothing at the ends of a label: joiners that join nothing, and letters that are blank.
BLANK_ENDS = "\u034f\u115f\u1160\u200c\u200d\u2800\u3164\uffa0"
#: Blanks other than the plain one, tabs and line ends.
ODD_BLANKS = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
#: Selectors of how an emoji is drawn, and joiners.
VARIATIONS = dict.fromkeys([0x200C, 0x200D, *range(0xFE00, 0xFE10)])
#: Longer ones are answers, of which only the ends are cleaned.
LABEL_CHARACTERS_MOST = 200


def clean_text(text: str) -> str:
    """Return a text in NFC with plain forms of full-width letters and digits, and single blanks. Cleaning twice
    changes nothing.

    Case, punctuation, digits and U+FFFD stay as they are.
    """
    if text.isascii():
        return " ".join(CONTROL.sub(" ", text).split())
    plain = COMPATIBLE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), INVISIBLE.sub("", text))
    return " ".join(CONTROL.sub(" ", unicodedata.normalize("NFC", plain)).split())


def clean_content(text: str) -> str:
    """Return a turn of a conversation in NFC, without characters that nobody sees and blanks at the ends of lines.

    Lines, indents and forms of characters stay: answers are learned as they are written.
    """
    visible = text if text.isascii() else unicodedata.normalize("NFC", INVISIBLE.sub("", text))
    lines = CONTROL.sub(" ", visible.replace("\r\n", "\n")).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def clean_label(text: str) -> str:
    """Return a label in NFC without blanks of any kind at its ends, and without invisible marks: they are no part of
    it. Odd blanks inside become plain ones; case and width stay."""
    if text.isascii() or len(text) > LABEL_CHARACTERS_MOST:
        return text.strip()
    visible = ODD_BLANKS.sub(" ", INVISIBLE.sub("", text))
    while visible != (stripped := visible.strip().strip(BLANK_ENDS)):
        visible = stripped
    return unicodedata.normalize("NFC", visible)


def spelling_key(label: str) -> str:
    """Return what two labels share that differ only in case, width, blanks or marks that nobody sees."""
    return exact_key(unicodedata.normalize("NFKC", label).translate(VARIATIONS))


def exact_key(text: str) -> str:
    """Return what two texts share that differ only in case, blanks, full-width forms and invisible characters."""
    if text.isascii():
        return clean_text(text).lower()
    return clean_text(clean_text(text).casefold())
