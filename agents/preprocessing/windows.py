"""Hashes of every window of some characters, of many texts at once."""

from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

#: An odd multiplier whose powers spread the characters of a window over 64 bits.
MULTIPLIER = 0x9E3779B97F4A7C15


def points_of(texts: Sequence[str]) -> tuple[NDArray[numpy.uint32], NDArray[numpy.int64]]:
    """Return the code points of texts end to end, and the length of each."""
    points = numpy.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=numpy.uint32)
    return points, numpy.fromiter(map(len, texts), dtype=numpy.int64, count=len(texts))


def rolling_hashes(points: NDArray[numpy.uint32], width: int) -> NDArray[numpy.uint64]:
    """Return for each window of `width` points its polynomial hash, by where it begins.

    Source: Karp and Rabin, "Efficient randomized pattern-matching algorithms" (1987); a window is put together of
    those of half its width.
    """
    if len(points) < width:
        return numpy.zeros(0, dtype=numpy.uint64)
    if width == 1:
        return points.astype(numpy.uint64) * numpy.uint64(MULTIPLIER)
    first = width // 2
    left = rolling_hashes(points, first)
    right = left if width - first == first else rolling_hashes(points, width - first)
    count = len(points) - width + 1
    return left[:count] + right[first : first + count] * numpy.uint64(pow(MULTIPLIER, first, 1 << 64))


def whole_windows(lengths: NDArray[numpy.int64], width: int) -> NDArray[numpy.bool_]:
    """Return for each point whether a window that begins there lies within one text; bool of shape (points,)."""
    inside = numpy.ones(int(lengths.sum()), dtype=bool)
    ends = numpy.cumsum(lengths)
    for before_end in range(1, width):
        starts = ends - before_end
        # Of a text that is shorter the place belongs to the one before it, whose windows end earlier still.
        inside[starts[starts >= 0]] = False
    return inside
