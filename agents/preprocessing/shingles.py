"""Shingles: texts as sets of hashed pieces, kept in a file, and the similarity of two such sets."""

import os
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy
from numpy.typing import NDArray

from agents.data.cleaning import exact_key

#: Characters of one piece.
SHINGLE_CHARACTERS = 5
DIGITS = re.compile(r"\d+")
#: An odd multiplier whose powers spread the characters of a piece over 64 bits.
MULTIPLIER = 0x9E3779B97F4A7C15
BATCH_ROWS = 1000
PIECE_BYTES = 4


class ShingleSets:
    """The sets of many texts, end to end in a file; in memory are eight bytes of each. Closed by its owner."""

    def __init__(self, path: Path, texts: Iterable[str]) -> None:
        self._file = path.open("w+b")
        self._ends = array("Q", [0])
        waiting = iter(texts)
        while batch := list(islice(waiting, BATCH_ROWS)):
            flat, sizes = shingle_batch(batch)
            flat.tofile(self._file)
            for size in sizes.tolist():
                self._ends.append(self._ends[-1] + size)
        self._file.flush()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> NDArray[numpy.uint32]:
        return self._pieces(self._ends[index], self._ends[index + 1])

    def size(self, index: int) -> int:
        """Return how many pieces a text has."""
        return self._ends[index + 1] - self._ends[index]

    def batches(
        self, indices: NDArray[numpy.int64] | None = None
    ) -> Iterator[tuple[NDArray[numpy.uint32], NDArray[numpy.int64]]]:
        """Yield the sets of a thousand texts at a time, end to end, with where each starts and the last one ends."""
        wanted = numpy.arange(len(self)) if indices is None else indices
        for start in range(0, len(wanted), BATCH_ROWS):
            sets = [self[index] for index in wanted[start : start + BATCH_ROWS].tolist()]
            offsets = numpy.concatenate([[0], numpy.cumsum([len(one) for one in sets])])
            yield numpy.concatenate(sets), offsets

    def close(self) -> None:
        self._file.close()

    def _pieces(self, start: int, end: int) -> NDArray[numpy.uint32]:
        # Not mapped into memory: what was read counts as the file's, and can be dropped.
        found = os.pread(self._file.fileno(), (end - start) * PIECE_BYTES, start * PIECE_BYTES)
        return numpy.frombuffer(found, dtype=numpy.uint32)


def template_key(text: str) -> str:
    """Return a text in lower case with every number as 0: messages from one template become the same."""
    return DIGITS.sub("0", exact_key(text))


def shingles(text: str) -> NDArray[numpy.uint32]:
    """Return the sorted, different hashes (uint32) of a text's pieces of five characters, numbers as 0.

    Source: Broder, "On the resemblance and containment of documents" (1997).
    """
    return shingle_batch([text])[0]


def shingle_batch(texts: Sequence[str]) -> tuple[NDArray[numpy.uint32], NDArray[numpy.int64]]:
    """Return the sets of texts end to end, and the size of each."""
    # A blank at each end, so that the first and the last word count as words.
    padded = [f" {template_key(text)} ".ljust(SHINGLE_CHARACTERS) for text in texts]
    lengths = numpy.array([len(text) for text in padded])
    points = numpy.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=numpy.uint32)
    count = len(points) - SHINGLE_CHARACTERS + 1
    hashes = numpy.zeros(count, dtype=numpy.uint64)
    for place in range(SHINGLE_CHARACTERS):
        power = numpy.uint64(pow(MULTIPLIER, place + 1, 1 << 64))
        hashes += points[place : place + count].astype(numpy.uint64) * power
    inside = numpy.ones(len(points), dtype=bool)
    for before_end in range(1, SHINGLE_CHARACTERS):
        inside[numpy.cumsum(lengths) - before_end] = False
    owners = numpy.repeat(numpy.arange(len(texts), dtype=numpy.uint64), lengths - SHINGLE_CHARACTERS + 1)
    # Owner above, hash below: one sort puts every text's set in order.
    found = numpy.unique((owners << numpy.uint64(32)) | (hashes[inside[:count]] >> numpy.uint64(32)))
    sizes = numpy.bincount((found >> numpy.uint64(32)).astype(numpy.int64), minlength=len(texts))
    return found.astype(numpy.uint32), sizes


def jaccard(one: NDArray[numpy.uint32], other: NDArray[numpy.uint32]) -> float:
    """Return the share of common pieces among all pieces of two sets, 0 to 1."""
    common = len(numpy.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
