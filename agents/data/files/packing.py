"""Packed files: gzip, bzip2, xz and zstd are read as what is in them, up to what their size allows."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any, NamedTuple, cast

from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget

BUFFER_BYTES = 1 << 20


class Packing(NamedTuple):
    """A way in which one file is packed. `magic`: how it begins; `open`: gives its bytes unpacked."""

    name: str
    suffix: str
    magic: bytes
    open: Callable[[IO[bytes]], IO[bytes]]


def _zstd(raw: IO[bytes]) -> IO[bytes]:
    try:
        # Where pyarrow is not installed, other files are read all the same.
        import pyarrow
    except ImportError as fault:
        raise InvalidData(
            "A zstd file is read by pyarrow, which is not installed here.",
            cure="Install the extra `train`, or pack it with gzip.",
        ) from fault
    return cast("IO[bytes]", pyarrow.CompressedInputStream(raw, "zstd"))


PACKINGS = (
    Packing("gzip", ".gz", b"\x1f\x8b", lambda raw: cast("IO[bytes]", gzip.GzipFile(fileobj=raw))),
    Packing("bzip2", ".bz2", b"BZh", lambda raw: cast("IO[bytes]", bz2.BZ2File(raw))),
    Packing("xz", ".xz", b"\xfd7zXZ\x00", lambda raw: cast("IO[bytes]", lzma.LZMAFile(raw))),  # noqa: SIM115
    Packing("zstd", ".zst", b"\x28\xb5\x2f\xfd", _zstd),
)
SUFFIXES = frozenset(packing.suffix for packing in PACKINGS)


def packing_of(first: bytes) -> Packing | None:
    """Return how a file is packed, by its first bytes; None where it isn't."""
    return next((packing for packing in PACKINGS if first.startswith(packing.magic)), None)


def unpacked(raw: IO[bytes], packing: Packing, name: str, size_bytes: int, budget: RowBudget) -> IO[bytes]:
    """Return the bytes of a packed file.

    Raises:
        InvalidData: while reading: it is damaged or cut off, or holds much more than it seems to.
    """
    return io.BufferedReader(_Unpacked(raw, packing, name, size_bytes, budget), BUFFER_BYTES)


class _Unpacked(io.RawIOBase):
    """Bytes that are unpacked as they are read, and counted."""

    def __init__(self, raw: IO[bytes], packing: Packing, name: str, size_bytes: int, budget: RowBudget) -> None:
        self._stream = packing.open(raw)
        self._packing, self._name = packing, name
        self._size_bytes, self._budget = size_bytes, budget
        self._left = budget.unpacked_bytes(size_bytes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            found = self._stream.read(len(buffer))
        except (EOFError, OSError, zlib.error, lzma.LZMAError, ValueError) as fault:
            raise InvalidData(
                f"The {self._packing.name} file '{self._name}' is damaged or cut off.",
                cure="Copy it or pack it again.",
            ) from fault
        self._left -= len(found)
        if self._left < 0:
            self._refuse()
        buffer[: len(found)] = found
        return len(found)

    def _refuse(self) -> None:
        budget = self._budget
        raise InvalidData(
            f"The {self._packing.name} file '{self._name}' of {self._size_bytes:,} bytes unpacks to more than "
            f"{budget.unpacked_bytes(self._size_bytes):,}, over {budget.unpacked_ratio} times its size.",
            cure="Unpack it and name the unpacked file, or raise TUNELINE_ROWS_UNPACKED_RATIO.",
        )
