"""Shingles: a text as a set of hashed pieces, and the similarity of two such sets."""

import re
from typing import TYPE_CHECKING

from agents.cleaning import exact_key

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

#: Characters of one piece.
SHINGLE_CHARACTERS = 5
DIGITS = re.compile(r"\d+")
#: An odd multiplier whose powers spread the characters of a piece over 64 bits.
MULTIPLIER = 0x9E3779B97F4A7C15


def template_key(text: str) -> str:
    """Return a text in lower case with every number as 0: messages from one template become the same."""
    return DIGITS.sub("0", exact_key(text))


def shingles(text: str) -> "NDArray[numpy.uint32]":
    """Return the sorted, different hashes (uint32) of a text's pieces of five characters, numbers as 0.

    Source: Broder, "On the resemblance and containment of documents" (1997).
    """
    import numpy

    # A blank at each end, so that the first and the last word count as words.
    padded = f" {template_key(text)} ".ljust(SHINGLE_CHARACTERS)
    points = numpy.frombuffer(padded.encode("utf-32-le", "surrogatepass"), dtype=numpy.uint32).astype(numpy.uint64)
    windows = numpy.lib.stride_tricks.sliding_window_view(points, SHINGLE_CHARACTERS)
    powers = [pow(MULTIPLIER, power, 1 << 64) for power in range(1, SHINGLE_CHARACTERS + 1)]
    hashes = (windows * numpy.array(powers, dtype=numpy.uint64)).sum(axis=1, dtype=numpy.uint64)
    return numpy.unique((hashes >> numpy.uint64(32)).astype(numpy.uint32))


def jaccard(one: "NDArray[numpy.uint32]", other: "NDArray[numpy.uint32]") -> float:
    """Return the share of common pieces among all pieces of two sets, 0 to 1."""
    import numpy

    common = len(numpy.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
