"""UTF-16 and UTF-32 without a mark: told from binary data, and which byte of a character comes first."""

import codecs
import unicodedata

#: Of the characters of a text these may be none: without a meaning, private, or control characters but for blanks.
STRANGE_SHARE = 0.01
BLANKS = "\t\n\r\f"


def find_wide(sample: bytes) -> str | None:
    """Return the encoding of the start of a file with zero bytes; None: it is binary data."""
    for size, names in ((4, ("utf-32-le", "utf-32-be")), (2, ("utf-16-le", "utf-16-be"))):
        read = {name: text for name in names if (text := _text(sample, name, size)) is not None}
        # Line ends, delimiters and digits are ASCII in any language; read the other way round they are not.
        counts = {name: sum(character.isascii() for character in text) for name, text in read.items()}
        best = max(counts, key=lambda name: counts[name], default=None)
        if best is not None and counts[best] and list(counts.values()).count(counts[best]) == 1:
            return best
    return None


def _text(sample: bytes, name: str, size: int) -> str | None:
    """Return a sample as text; None: it isn't any."""
    if len(sample) % size and len(sample) < 1 << 16:
        return None
    try:
        text = codecs.getincrementaldecoder(name)().decode(sample)
    except UnicodeDecodeError:
        return None
    strange = sum(
        unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs") and character not in BLANKS for character in text
    )
    return text if text and strange <= STRANGE_SHARE * len(text) else None
