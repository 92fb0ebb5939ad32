"""Names that come from outside: of files below a folder, of one file, and digests. What is taken is said here alone."""

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

#: What file systems take: of one part, and of a whole name (in bytes of UTF-8).
PART_BYTES_MOST = 255
NAME_BYTES_MOST = 1024
#: Windows opens a device by these, whatever suffix stands behind them.
RESERVED = re.compile(r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])(?:\..*)?", re.I)
#: Kinds of characters that nobody sees: control, format (marks of direction among them), halves of a pair, line ends.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
#: Of these, the joiners are part of words in some scripts.
JOINERS = "\u200c\u200d"
SHOWN_CHARACTERS = 80
CURE = "Use letters, digits, `-`, `_`, `.` and, between folders, `/`."


def checked_name(name: str) -> str:
    """Return the name of a file below a folder, such as `pictures/roc.svg`, if it can be nothing else on any system.

    Raises:
        ValueError: it is empty, absolute or too long, leads to another folder, is hidden, is a device of Windows, or
            has a separator of another system or a character that nobody sees. The message says which, and the cure.
    """
    if fault := _fault(name, name.split("/")):
        raise ValueError(f"'{printable(name)}' is not a name below a folder: it {fault}. {CURE}")
    return name


def checked_file_name(name: str) -> str:
    """Return the name of one file, without a folder. Raises: as `checked_name`, also for a `/`."""
    if fault := _fault(name, [name]):
        raise ValueError(f"'{printable(name)}' is not a file's name: it {fault}. {CURE}")
    return name


def usable_file_name(given: str, otherwise: str) -> str:
    """Return a file's name as near to a given one as can be, for names that were stored before they were checked."""
    last = PurePosixPath(given.replace("\\", "/")).name
    seen = (
        "".join(character for character in last if not is_unseen(character)).replace(":", "_").lstrip(".").rstrip(". ")
    )
    if len(seen.encode()) > PART_BYTES_MOST:
        # The suffix says what is in the file.
        suffix = "".join(PurePosixPath(seen).suffixes[-2:])[-20:]
        room = PART_BYTES_MOST - len(suffix.encode())
        seen = seen.encode()[:room].decode(errors="ignore") + suffix
    return seen if seen and not _fault(seen, [seen]) else otherwise


def is_unseen(character: str) -> bool:
    """Say whether a character shows nothing by itself, or changes how others are shown."""
    return unicodedata.category(character) in UNSEEN and character not in JOINERS


def printable(text: str, characters_most: int = SHOWN_CHARACTERS) -> str:
    """Return a text for a message: on one line, what nobody sees as an escape, cut where it is long."""
    cut = text if len(text) <= characters_most else f"{text[: characters_most - 1]}…"
    return "".join(one.encode("unicode_escape").decode() if is_unseen(one) else one for one in cut)


def _fault(name: str, parts: list[str]) -> str | None:
    if any(is_unseen(character) for character in name):
        return "has a character that nobody sees"
    if len(name.encode()) > NAME_BYTES_MOST:
        return f"has more than {NAME_BYTES_MOST} bytes"
    return next((fault for part in parts if (fault := _part_fault(part))), None)


def _part_fault(part: str) -> str | None:
    if part in {"", ".", ".."}:
        return "has an empty part" if not part else f"has a part '{part}', which is another folder"
    if separators := sorted(set(part) & set("/\\:")):
        return f"has a '{separators[0]}', which parts names on some systems"
    if part.startswith("."):
        return f"has a part that begins with a dot ('{part}')"
    if part.endswith((".", " ")):
        return "has a part that ends with a dot or a blank"
    if len(part.encode()) > PART_BYTES_MOST:
        return f"has a part of more than {PART_BYTES_MOST} bytes"
    return f"has a part that Windows takes for a device ('{part}')" if RESERVED.fullmatch(part) else None


#: The name of a file below a folder, with `/` between its parts.
RelativeName = Annotated[str, AfterValidator(checked_name)]
#: The name of one file.
FileName = Annotated[str, AfterValidator(checked_file_name)]
#: A sha256 in hexadecimal.
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
