"""A file of rows as bytes and as characters: unpacked where it is gzip, and knowing how far it was read."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, NamedTuple, cast

from agents.base.beneath import open_file
from agents.base.errors import InvalidData

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16
GZIP_MAGIC = b"\x1f\x8b"
#: Longest line; a longer one is not a row, and would fill the memory.
LINE_CHARACTERS = 10 << 20


class Encoding(NamedTuple):
    """A codec, and what to do with bytes that it doesn't know."""

    name: str
    errors: Literal["strict", "replace"] = "strict"


class SourceFile:
    """One file of a source. `suffix`: its last one without `.gz`, in lower case, such as `.csv`.

    Opened by `open_file`, which says what is refused.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._raw: IO[bytes] | None = None
        with open_file(path) as raw:
            self.size_bytes = os.fstat(raw.fileno()).st_size
            self.packed = raw.read(2) == GZIP_MAGIC
        suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
        self.suffix = suffixes[-1] if suffixes else ""

    def position_bytes(self) -> int:
        """Return how far the file, as it lies on disk, is read; its size while it is not open."""
        return self._raw.tell() if self._raw else self.size_bytes

    @contextmanager
    def open_bytes(self) -> Iterator[IO[bytes]]:
        """Open the file, unpacked.

        Raises:
            InvalidData: while reading: the gzip file is damaged or cut off.
        """
        with open_file(self.path) as raw:
            try:
                self._raw = raw
                yield cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if self.packed else raw
            except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
                raise InvalidData(
                    f"The gzip file '{self.name}' is damaged or cut off.", cure="Copy it or pack it again."
                ) from fault
            finally:
                self._raw = None

    @contextmanager
    def open_text(self, encoding: Encoding, newline: str | None = "\n") -> Iterator[IO[str]]:
        """Open the file as characters; lines end as `newline` says (see `io.TextIOWrapper`)."""
        with self.open_bytes() as file:
            yield io.TextIOWrapper(file, encoding.name, errors=encoding.errors, newline=newline)

    def lines(self, encoding: Encoding, newline: str | None = "\n") -> Iterator[tuple[int, str]]:
        """Yield `(line number from 1, line)` with its end; only real line ends count, not U+2028 and its like.

        Raises:
            InvalidData: a line is longer than ten million characters.
        """
        with self.open_text(encoding, newline) as text:
            number = 0
            while line := text.readline(LINE_CHARACTERS + 1):
                number += 1
                if len(line) > LINE_CHARACTERS:
                    raise InvalidData(
                        f"'{self.name}', line {number} is longer than {LINE_CHARACTERS >> 20} million characters.",
                        cure="Put one row on a line, or name the file's `format`.",
                    )
                yield number, line

    def chunks(self) -> Iterator[bytes]:
        with self.open_bytes() as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def sample(self, size_bytes: int = SAMPLE_BYTES) -> bytes:
        """Return the first bytes, unpacked."""
        with self.open_bytes() as file:
            return file.read(size_bytes)
