"""Texts that were read in a wrong encoding before they came here, and what HTML left in them."""

import re
from typing import Literal

Garbling = Literal["wrong_encoding", "html_entities"]


def _continuing(codec: str) -> str:
    """Return as a class of a regular expression what a codec makes of the bytes that go on a character of UTF-8."""
    found = {bytes([byte]).decode(codec, "replace") for byte in range(0x80, 0xC0)} | {chr(0x80 + n) for n in range(32)}
    return "".join(sorted(re.escape(character) for character in found - {"\ufffd"}))


_LATIN, _CYRILLIC = _continuing("cp1252"), _continuing("cp1251")
#: What may also stand after a letter that is meant.
_PUNCTUATION = "\u00a0\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u00ab\u00bb\u203a"
#: What UTF-8 looks like, read as cp1252 or cp1251 (and Chinese as GBK).
UTF8_MISREAD = re.compile(
    rf"\u00c3[{_LATIN}]|\u00c2[\u00a0-\u00bf]|[\u00c4\u00c5](?![{_PUNCTUATION}])[{_LATIN}]"
    rf"|(?:[\u00c4\u00c5\u00ce-\u00d1\u00d7-\u00d9][{_LATIN}]){{2}}"
    rf"|\u00e2[{_LATIN}]{{2}}|(?:[\u00e0-\u00ef][{_LATIN}]{{2}}){{2}}|\u00f0\u0178[{_LATIN}]{{2}}"
    rf"|(?:[\u0420\u0421][{_CYRILLIC}]){{2}}|\u0432\u0402[{_CYRILLIC}]"
    r"|\u951f\u65a4\u62f7|\u00ef\u00bb\u00bf|\u00ef\u00bf\u00bd"
)
#: A word of letters of other alphabets, read as cp1252: no language has so many different ones with accents in a row.
ACCENTS = re.compile("[\u00a1-\u00ff]{4,}")
#: A Cyrillic word read as another Cyrillic encoding: its upper and lower case change places.
TURNED_CASE = re.compile("(?<![\u0400-\u04ff])[\u0430-\u044f\u0451][\u0410-\u042f\u0401]{3,}")
ENTITY = re.compile(r"&(?:#\d{2,7}|#[xX][0-9a-fA-F]{2,6}|amp|quot|nbsp|lt|gt|apos);")


def looks_garbled(text: str) -> Garbling | None:
    """Return how a text is spoilt: by a wrong encoding, or with entities of HTML in it; None: it doesn't look so."""
    if not text.isascii() and (UTF8_MISREAD.search(text) or TURNED_CASE.search(text) or _is_accents(text)):
        return "wrong_encoding"
    return "html_entities" if "&" in text and ENTITY.search(text) else None


def _is_accents(text: str) -> bool:
    return any(len({character for character in run[0] if character.isalpha()}) >= 3 for run in ACCENTS.finditer(text))
