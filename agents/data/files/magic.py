"""What a file is by its first bytes, and what is refused by them: files that hold no rows, whatever their name says."""

import re
from typing import NamedTuple

from agents.base.errors import InvalidData

PULL = "Run `git lfs pull` where it was cloned, and take the file that it fetches."
UNPACK = "Unpack it, and name the file of rows in it."
ROWS = "Name a file of rows: JSON, CSV, Parquet or .xlsx."


class Foreign(NamedTuple):
    """A file without rows: what it is, and what to do."""

    what: str
    cure: str


#: How a file begins -> what it is.
FOREIGN: dict[bytes, Foreign] = {
    b"version https://git-lfs.github.com/spec/": Foreign("a Git LFS pointer, not the file itself", PULL),
    b"/annex/objects/": Foreign("a git-annex pointer, not the file itself", "Run `git annex get` where it was cloned."),
    b"\x89PNG": Foreign("an image, not a file of rows", ROWS),
    b"\xff\xd8\xff": Foreign("an image, not a file of rows", ROWS),
    b"GIF87a": Foreign("an image, not a file of rows", ROWS),
    b"GIF89a": Foreign("an image, not a file of rows", ROWS),
    b"%PDF-": Foreign("a PDF, not a file of rows", ROWS),
    b"7z\xbc\xaf\x27\x1c": Foreign("a 7z archive, not a file of rows", UNPACK),
    b"Rar!\x1a\x07": Foreign("a RAR archive, not a file of rows", UNPACK),
    b"SQLite format 3\x00": Foreign("an SQLite database, not a file of rows", "Export its table as CSV."),
    b"\x89HDF\r\n\x1a\n": Foreign("an HDF5 file, not a file of rows", "Write it as Parquet or CSV."),
    b"\x93NUMPY": Foreign("a NumPy array, not a file of rows", "Write it as Parquet or CSV."),
    b"{\\rtf": Foreign("a rich text document, not a file of rows", ROWS),
    b"Obj\x01": Foreign("an Avro file, not a file of rows", "Write it as Parquet or JSON lines."),
}
#: Of .xls files, and of older files of other programs.
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: Python's pickles run code where they are read.
PICKLE = re.compile(rb"\x80[\x02-\x05](?:\x95|c|\}|\]|\(|q|K|\x8c)", re.DOTALL)
WEB_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html[\s>])", re.IGNORECASE)
#: Of a tar archive, behind the name of its first file.
TAR_PLACE, TAR_MAGIC = 257, b"ustar"
MAGIC_BYTES = 512


def foreign(first: bytes) -> Foreign | None:
    """Return what a file without rows is, None: it may hold rows. `first`: its first bytes, 512 or more."""
    for magic, found in FOREIGN.items():
        if first.startswith(magic):
            return found
    if first[TAR_PLACE : TAR_PLACE + len(TAR_MAGIC)] == TAR_MAGIC:
        return Foreign("a tar archive, not a file of rows", "Unpack it to a folder, or pack it as .zip.")
    if PICKLE.match(first):
        return Foreign(
            "a Python pickle, which may run code and is never read", "Write its rows as Parquet, CSV or JSON lines."
        )
    if WEB_PAGE.match(first):
        return Foreign("a web page, perhaps of a login or an error", "Download the file itself.")
    return None


def refuse_foreign(name: str, first: bytes) -> None:
    """Refuse a file that holds no rows.

    Raises:
        InvalidData: with what it is, and a cure.
    """
    found = foreign(first)
    if found is not None:
        raise InvalidData(f"'{name}' is {found.what}.", cure=found.cure)
