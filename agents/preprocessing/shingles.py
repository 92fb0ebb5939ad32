"""Shingles: texts as sets of hashed pieces, kept in a file, and the similarity of two such sets."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from agents.data.cleaning import exact_key
from agents.preprocessing.boilerplate import Boilerplate, Seen
from agents.preprocessing.told_apart import DIGITS, telling_parts
from agents.preprocessing.windows import MULTIPLIER, points_of, rolling_hashes, whole_windows

#: Characters of one piece.
SHINGLE_CHARACTERS = 5
BATCH_ROWS = 1000
PIECE_BYTES = 4
#: A character that no cleaned text has.
END = "\x03"
NO_BOILERPLATE = Boilerplate()


class ShingleBatch(NamedTuple):
    """Sets of texts end to end (`pieces` uint32, sorted in each), the size of each, and a digest of its template."""

    pieces: NDArray[numpy.uint32]
    sizes: NDArray[numpy.int64]
    templates: NDArray[numpy.uint64]


class ShingleSets:
    """The sets of many texts, end to end in a file; in memory are sixteen bytes of each. Closed by its owner."""

    def __init__(self, path: Path, texts: Iterable[str], boilerplate: Boilerplate = NO_BOILERPLATE) -> None:
        self._file = path.open("w+b")
        self._ends = array("Q", [0])
        self._templates = array("Q")
        waiting = iter(texts)
        while batch := list(islice(waiting, BATCH_ROWS)):
            found = shingle_batch(batch, boilerplate)
            found.pieces.tofile(self._file)
            self._templates.frombytes(found.templates.tobytes())
            for size in found.sizes.tolist():
                self._ends.append(self._ends[-1] + size)
        self._file.flush()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> NDArray[numpy.uint32]:
        return self._pieces(self._ends[index], self._ends[index + 1])

    @property
    def templates(self) -> NDArray[numpy.uint64]:
        """Digests of texts with every number as 0: those of one template have the same; uint64 of shape (rows,)."""
        return numpy.frombuffer(self._templates, dtype=numpy.uint64)

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


def template_key(key: str) -> str:
    """Return an exact key with every number as 0: texts from one template become the same."""
    return DIGITS.sub("0", key)


def shingles(text: str) -> NDArray[numpy.uint32]:
    """Return the sorted, different hashes (uint32) of a text's pieces of five characters.

    Two texts have pieces in common only where their numbers and the words that negate are the same.
    Source: Broder, "On the resemblance and containment of documents" (1997).
    """
    return shingle_batch([text]).pieces


def compared(key: str) -> str:
    """Return an exact key as its pieces are taken from it: a blank at each end, so that the first and the last word
    count as words, and a mark of the end, so that it shows which text goes on."""
    return f" {template_key(key)} {END}".ljust(SHINGLE_CHARACTERS)


def shingle_batch(texts: Sequence[str], boilerplate: Boilerplate = NO_BOILERPLATE) -> ShingleBatch:
    """Return the sets of texts."""
    keys = [exact_key(text) for text in texts]
    padded = [compared(key) for key in keys]
    salts = numpy.fromiter(map(_salt, keys), dtype=numpy.uint64, count=len(keys))
    templates = numpy.fromiter(map(_digest, padded), dtype=numpy.uint64, count=len(keys))
    points, lengths = points_of(padded)
    hashes = rolling_hashes(points, SHINGLE_CHARACTERS)
    kept = whole_windows(lengths, SHINGLE_CHARACTERS)[: len(hashes)]
    owners = numpy.repeat(numpy.arange(len(texts)), lengths)[: len(hashes)]
    whole = numpy.zeros(0, dtype=numpy.int64)
    if boilerplate:
        seen = boilerplate.look(points, lengths)
        kept, whole = _that_differ(seen, kept, owners, len(texts))
        known = seen.known[: len(hashes)]
        hashes[known] = (hashes[known] ^ seen.contexts[: len(hashes)][known]) * numpy.uint64(MULTIPLIER)
    owners = numpy.concatenate([owners[kept], whole]).astype(numpy.uint64)
    hashes = (numpy.concatenate([hashes[kept], templates[whole]]) >> numpy.uint64(32)) ^ salts[owners]
    # Owner above, hash below: one sort puts every text's set in order.
    found = numpy.unique((owners << numpy.uint64(32)) | hashes)
    sizes = numpy.bincount((found >> numpy.uint64(32)).astype(numpy.int64), minlength=len(texts))
    return ShingleBatch(found.astype(numpy.uint32), sizes, templates)


def _that_differ(
    seen: Seen, kept: NDArray[numpy.bool_], owners: NDArray[numpy.int64], count: int
) -> tuple[NDArray[numpy.bool_], NDArray[numpy.int64]]:
    """Return the pieces that are not to be expected altogether, and the texts that are compared as a whole instead:
    most of what is left of them are the few characters that fill the places of a template.

    `owners`: the text of each piece, of `count`.
    """
    pieces = len(kept)
    expected = numpy.concatenate([[0], numpy.cumsum(seen.expected)])
    differ = kept & (expected[SHINGLE_CHARACTERS:] - expected[:pieces] < SHINGLE_CHARACTERS)
    left = numpy.bincount(owners[differ], minlength=count)
    filling = numpy.bincount(owners[differ & seen.known[:pieces]], minlength=count)
    is_whole = 2 * filling >= left
    return differ & ~is_whole[owners], numpy.flatnonzero(is_whole)


def jaccard(one: NDArray[numpy.uint32], other: NDArray[numpy.uint32]) -> float:
    """Return the share of common pieces among all pieces of two sets, 0 to 1."""
    common = len(numpy.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def _salt(key: str) -> int:
    """Return 32 bits of what tells texts apart; 0 where there is nothing of it."""
    parts = telling_parts(key)
    return _digest("\0".join(parts)) >> 32 if parts else 0


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
