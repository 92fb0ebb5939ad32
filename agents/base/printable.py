"""Texts from outside as a terminal may be given them: nothing in them moves the cursor, hides or turns other text."""

import unicodedata

#: Pictures that are newer than this Python's table of characters.
NEWER_PICTURES = range(0x1F000, 0x1FC00)


def printable(text: str) -> str:
    """Return a text with its control characters, and all that is invisible or turns the direction, as escapes.

    Line breaks, tabs and spaces of any width stay; a text without any of the rest is returned as it is.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def one_line(text: str) -> str:
    """Return the same on one line: a name can't look like lines of its own."""
    return text if text.isprintable() else printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _shown(character: str) -> str:
    stays = character in "\n\t" or character.isprintable() or unicodedata.category(character) == "Zs"
    if stays or ord(character) in NEWER_PICTURES:
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
