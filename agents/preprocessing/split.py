"""The split: stratified by label, groups kept whole, and the same for the same rows in whatever order."""

from collections.abc import Mapping, Sequence

import numpy
from numpy.typing import NDArray

from agents.data.types import SPLITS

#: Test first, so that it depends least on the others' shares.
ORDER = ("test", "validation", "train")


class TooFewGroups(Exception):
    """The rows of a label, or all where there are no labels, are in fewer groups than there are splits.

    `rows`: of the label, or all; `labels`: how many there are.
    """

    def __init__(self, label: str | None, groups: int, rows: int, labels: int) -> None:
        super().__init__(label, groups)
        self.label, self.groups, self.rows, self.labels = label, groups, rows, labels


def split_rows(
    groups: NDArray[numpy.int64],
    ranks: NDArray[numpy.uint64],
    fractions: Mapping[str, float],
    strata: NDArray[numpy.int64],
    labels: Sequence[str],
    *,
    every_stratum: bool = True,
) -> dict[str, NDArray[numpy.int64]]:
    """Return for each split the indices of its rows, going up.

    Groups are drawn in the order of the lowest of their `ranks`, stratum by stratum; a group counts to its commonest.
    `strata`: for each row an index into `labels`, which are sorted; with one label or none only groups count. Unless
    `every_stratum` has to be in every split, those of too few groups are shared out as one.

    Raises:
        TooFewGroups: a label has too few different rows to be in every split, or there are too few at all.
    """
    _, group, sizes = numpy.unique(groups, return_inverse=True, return_counts=True)
    lowest = numpy.full(len(sizes), numpy.iinfo(numpy.uint64).max, dtype=numpy.uint64)
    numpy.minimum.at(lowest, group, ranks)
    commonest = _commonest(group, strata, len(sizes))
    if not every_stratum:
        commonest, labels = _joined(commonest), []
    side = numpy.zeros(len(sizes), dtype=numpy.int8)
    for number in range(len(labels) or int(commonest.max(initial=0)) + 1):
        members = numpy.flatnonzero(commonest == number)
        if len(members) < len(SPLITS):
            rows = int(sizes[members].sum())
            raise TooFewGroups(labels[number] if labels else None, len(members), rows, len(labels))
        members = members[numpy.argsort(lowest[members], kind="stable")]
        start = 0
        for place, end in enumerate(_ends(sizes[members], fractions)):
            side[members[start:end]] = place
            start = end
    return {name: numpy.flatnonzero(side[group] == ORDER.index(name)) for name in SPLITS}


def _joined(strata: NDArray[numpy.int64]) -> NDArray[numpy.int64]:
    """Return the strata of groups, numbered from 0, those with too few of them for all splits made one; where even that
    one has too few, it is part of the largest."""
    counts = numpy.bincount(strata)
    small = counts[strata] < len(SPLITS)
    joined = numpy.where(small, len(counts), strata)
    if 0 < small.sum() < len(SPLITS) < len(strata):
        joined[small] = counts.argmax()
    numbers: NDArray[numpy.int64] = numpy.unique(joined, return_inverse=True)[1].astype(numpy.int64)
    return numbers


def _ends(sizes: NDArray[numpy.int64], fractions: Mapping[str, float]) -> list[int]:
    """Return where test, validation and train end among one stratum's groups: the first two get their share of the
    rows, at least one group each; train takes the others."""
    total = numpy.cumsum(sizes)
    ends: list[int] = []
    start = 0
    for name in ORDER[:2]:
        before = int(total[start - 1]) if start else 0
        enough = int(numpy.searchsorted(total, before + round(fractions[name] * int(total[-1])))) + 1
        # Every split after this one needs a group of its own.
        needed_later = len(SPLITS) - 1 - len(ends)
        start = max(start + 1, min(enough, len(sizes) - needed_later))
        ends.append(start)
    return [*ends, len(sizes)]


def _commonest(group: NDArray[numpy.int64], strata: NDArray[numpy.int64], count: int) -> NDArray[numpy.int64]:
    """Return the commonest stratum of each group, of equally common ones the first."""
    width = int(strata.max()) + 1
    pairs, rows = numpy.unique(group * width + strata, return_counts=True)
    owner, stratum = numpy.divmod(pairs, width)
    order = numpy.lexsort((stratum, -rows, owner))
    first = numpy.searchsorted(owner[order], numpy.arange(count))
    found: NDArray[numpy.int64] = stratum[order][first]
    return found
