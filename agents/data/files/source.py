"""A file of rows as bytes and as characters: unpacked where it is gzip, bounded, and knowing how far it was read."""

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
from agents.base.row_budget import RowBudget

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16
GZIP_MAGIC = b"\x1f\x8b"


class Encoding(NamedTuple):
    """A codec, and what to do with bytes that it doesn't know."""

    name: str
    errors: Literal["strict", "replace"] = "strict"


class SourceFile:
    """One file of a source. `suffix`: its last one without `.gz`, in lower case, such as `.csv`.

    Opened by `open_file`, which says what is refused.
    """

    def __init__(self, path: Path, budget: RowBudget | None = None) -> None:
        self.path = path
        self.name = path.name
        self.budget = budget or RowBudget()
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
            InvalidData: while reading: the gzip file is damaged or cut off, or holds much more than it seems to.
        """
        with open_file(self.path) as raw:
            try:
                self._raw = raw
                yield cast("IO[bytes]", _Unpacked(raw, self)) if self.packed else raw
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
        longest = self.budget.cell_characters
        with self.open_text(encoding, newline) as text:
            number = 0
            while line := text.readline(longest + 1):
                number += 1
                if len(line) > longest:
                    raise InvalidData(
                        f"'{self.name}', line {number} is longer than {self.budget.cell_mib} million characters.",
                        cure="Put one row on a line, name the file's `format`, or raise TUNELINE_ROWS_CELL_MIB.",
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


class _Unpacked(gzip.GzipFile):
    """A gzip file that is read up to what its size allows."""

    def __init__(self, raw: IO[bytes], source: SourceFile) -> None:
        super().__init__(fileobj=raw)
        self._source = source
        self._left = source.budget.unpacked_bytes(source.size_bytes)

    def read(self, size: int | None = -1) -> bytes:
        return self._counted(super().read(self._bounded(size)))

    def read1(self, size: int = -1) -> bytes:
        return self._counted(super().read1(size))

    def _bounded(self, size: int | None) -> int:
        return self._left + 1 if size is None or size < 0 else min(size, self._left + 1)

    def _counted(self, found: bytes) -> bytes:
        self._left -= len(found)
        if self._left < 0:
            source, budget = self._source, self._source.budget
            raise InvalidData(
                f"The gzip file '{source.name}' of {source.size_bytes:,} bytes unpacks to more than "
                f"{budget.unpacked_bytes(source.size_bytes):,}, over {budget.unpacked_ratio} times its size.",
                cure="Unpack it and name the unpacked file, or raise TUNELINE_ROWS_UNPACKED_RATIO.",
            )
        return found
