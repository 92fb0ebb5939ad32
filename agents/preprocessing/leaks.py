"""The leak report: near duplicates between two splits, found exactly and without MinHash."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from agents.preprocessing.shingles import jaccard

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

#: Common pieces asked for in the prefixes: more of them mean longer prefixes and fewer candidates to check.
COMMON_PIECES = 5


def find_leaks(
    test: "Sequence[NDArray[numpy.uint32]]", train: "Sequence[NDArray[numpy.uint32]]", threshold: float
) -> list[tuple[int, int]]:
    """Return all pairs (index in test, index in train) of Jaccard similarity `threshold` or more.

    Two sets that similar have at least t * n pieces in common, n being the size of either; so the first k of these,
    rarest first, lie among the n - ceil(t * n) + k rarest of each.
    Source: Wang, Li and Feng, "Can we beat the prefix filtering?" (2012), with a fixed k.
    """
    import numpy

    pieces, counts = numpy.unique(numpy.concatenate([*test, *train]), return_counts=True)

    def rarest(one: "NDArray[numpy.uint32]") -> "NDArray[numpy.uint32]":
        size = len(one) - _least_common(len(one), threshold) + _asked(len(one), threshold)
        # Stable, so that pieces of one count come in the same order in every set.
        return one[numpy.argsort(counts[numpy.searchsorted(pieces, one)], kind="stable")[:size]]

    prefixes = [rarest(one) for one in train]
    owners = numpy.repeat(numpy.arange(len(train)), [len(prefix) for prefix in prefixes])
    posted = numpy.concatenate(prefixes)
    order = numpy.argsort(posted, kind="stable")
    owners, posted = owners[order], posted[order]
    asked = numpy.array([_asked(len(one), threshold) for one in train])
    leaks: list[tuple[int, int]] = []
    for index, one in enumerate(test):
        prefix = rarest(one)
        first, last = numpy.searchsorted(posted, prefix, "left"), numpy.searchsorted(posted, prefix, "right")
        met = numpy.concatenate([owners[start:end] for start, end in zip(first, last, strict=True)])
        common = numpy.bincount(met, minlength=len(train))
        near = numpy.flatnonzero(common >= numpy.minimum(asked, _asked(len(one), threshold)))
        leaks += [(index, other) for other in near.tolist() if jaccard(one, train[other]) >= threshold]
    return leaks


def _asked(size: int, threshold: float) -> int:
    """Return how many common pieces a set of `size` must share in its prefix: at least one."""
    return min(COMMON_PIECES, _least_common(size, threshold))


def _least_common(size: int, threshold: float) -> int:
    # 0.7 * 10 is a little more than 7: without the slack a pair on the threshold would be lost.
    return ceil(threshold * size - 1e-9)
