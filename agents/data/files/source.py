"""A file of rows as bytes and as characters: unpacked where it is gzip, bounded, and knowing how far it was read."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Literal, NamedTuple

from agents.base.beneath import open_file
from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget
from agents.data.files.archives import open_member
from agents.data.files.magic import MAGIC_BYTES
from agents.data.files.packing import SUFFIXES, packing_of, unpacked

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16


class Encoding(NamedTuple):
    """A codec, and what to do with bytes that it doesn't know."""

    name: str
    errors: Literal["strict", "replace"] = "strict"
    language: str | None = None
    """What the text looks like in it, where the codec was told by that."""


class SourceFile:
    """One file of a source, or of a zip archive. `suffix`: its last one without that of packing, in lower case, such
    as `.csv`.

    Opened by `open_file`, which says what is refused.
    """

    def __init__(self, path: Path, budget: RowBudget | None = None, member: str | None = None) -> None:
        self.path = path
        self.member = member
        self.name = path.name if member is None else f"{path.name}/{member}"
        self.budget = budget or RowBudget()
        self._position: IO[bytes] | None = None
        self._whole_bytes = 0
        with self._open_packed() as raw:
            self.size_bytes = self._whole_bytes
            self._packing = packing_of(raw.read(MAGIC_BYTES))
        suffixes = [suffix.lower() for suffix in PurePosixPath(self.name).suffixes if suffix.lower() not in SUFFIXES]
        self.suffix = suffixes[-1] if suffixes else ""

    @property
    def packed(self) -> bool:
        """Whether what is read is more than what lies on disk."""
        return self._packing is not None or self.member is not None

    def position_bytes(self) -> int:
        """Return how far the file, as it lies on disk or in its archive, is read; its size while it is not open."""
        return self._position.tell() if self._position else self.size_bytes

    @contextmanager
    def open_bytes(self) -> Iterator[IO[bytes]]:
        """Open the file, unpacked.

        Raises:
            InvalidData: while reading: it is packed, and damaged, cut off, or holds much more than it seems to.
        """
        with self._open_packed() as raw:
            try:
                self._position = raw
                if self._packing is None:
                    yield raw
                else:
                    yield unpacked(raw, self._packing, self.name, self.size_bytes, self.budget)
            finally:
                self._position = None

    @contextmanager
    def _open_packed(self) -> Iterator[IO[bytes]]:
        with open_file(self.path) as raw:
            self._whole_bytes = os.fstat(raw.fileno()).st_size
            if self.member is None:
                yield raw
                return
            with open_member(raw, self.path.name, self.member, self.budget) as (file, size_bytes):
                self._whole_bytes = size_bytes
                yield file

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

    def line_end(self) -> str:
        """Return what ends the lines, as `open_text` takes it: `\\n`, or any where the start of the file has none."""
        sample = self.sample()
        return "" if b"\r" in sample and b"\n" not in sample else "\n"

    def chunks(self) -> Iterator[bytes]:
        with self.open_bytes() as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def sample(self, size_bytes: int = SAMPLE_BYTES) -> bytes:
        """Return the first bytes, unpacked."""
        with self.open_bytes() as file:
            return file.read(size_bytes)
