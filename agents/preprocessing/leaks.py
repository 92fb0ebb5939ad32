"""The leak report: near duplicates between two splits, found exactly and without MinHash."""

from collections.abc import Iterator

import numpy
from numpy.typing import NDArray

from agents.preprocessing.shingles import ShingleSets, jaccard

#: Common pieces asked for in the prefixes: more of them mean longer prefixes and fewer candidates to check.
COMMON_PIECES = 5
#: Pieces are counted by their upper bits: how rare they are decides the speed only, not the outcome.
COUNTED_BITS = 22
#: Candidates looked at in one go.
CHUNK = 2_000_000


def find_leaks(
    sets: ShingleSets, test: NDArray[numpy.int64], train: NDArray[numpy.int64], threshold: float
) -> list[tuple[int, int]]:
    """Return all pairs (index in test, index in train) of Jaccard similarity `threshold` or more.

    Two sets that similar have at least t * n pieces in common, n being the size of either; so the first k of these,
    rarest first, lie among the n - ceil(t * n) + k rarest of each. Test is held in memory, train passes by.
    Source: Wang, Li and Feng, "Can we beat the prefix filtering?" (2012), with a fixed k.
    """
    counts = numpy.zeros(1 << COUNTED_BITS, dtype=numpy.int32)
    for indices in (test, train):
        for flat, _ in sets.batches(indices):
            numpy.add.at(counts, flat >> numpy.uint32(32 - COUNTED_BITS), 1)
    parts = list(_prefixes(sets, test, counts, threshold))
    posted = numpy.concatenate([pieces for pieces, _, _ in parts])
    owners = numpy.concatenate([owner for _, owner, _ in parts])
    asked = numpy.concatenate([ask for _, _, ask in parts])
    order = numpy.argsort(posted, kind="stable")
    posted, owners = posted[order], owners[order]
    leaks: list[tuple[int, int]] = []
    for pieces, rows, asks in _prefixes(sets, train, counts, threshold):
        first = numpy.searchsorted(posted, pieces, "left")
        found = numpy.searchsorted(posted, pieces, "right") - first
        for part in _chunks(found, rows):
            met = _expanded(owners, first[part], found[part])
            pairs, common = numpy.unique(numpy.repeat(rows[part], found[part]) * len(test) + met, return_counts=True)
            others, mine = numpy.divmod(pairs, len(test))
            near = common >= numpy.minimum(asked[mine], asks[others - rows[0]])
            for one, other in zip(mine[near].tolist(), others[near].tolist(), strict=True):
                if jaccard(sets[int(test[one])], sets[int(train[other])]) >= threshold:
                    leaks.append((one, other))
    return sorted(leaks)


def _prefixes(
    sets: ShingleSets, indices: NDArray[numpy.int64], counts: NDArray[numpy.int32], threshold: float
) -> Iterator[tuple[NDArray[numpy.uint32], NDArray[numpy.int64], NDArray[numpy.int64]]]:
    """Yield the rarest pieces of a thousand sets at a time, the place in `indices` of each one's set, and for each set
    how many common pieces it must share in its prefix: at least one."""
    done = 0
    for flat, offsets in sets.batches(indices):
        sizes = numpy.diff(offsets)
        # 0.7 * 10 is a little more than 7: without the slack a pair on the threshold would be lost.
        least = numpy.ceil(threshold * sizes - 1e-9).astype(numpy.int64)
        asked = numpy.minimum(COMMON_PIECES, least)
        rows = numpy.repeat(numpy.arange(len(sizes)), sizes)
        # Sets are sorted, and the sort is stable: pieces of one count come in the same order in every set.
        order = numpy.lexsort((counts[flat >> numpy.uint32(32 - COUNTED_BITS)], rows))
        place = numpy.arange(len(flat)) - offsets[rows]
        rarest = order[place < (sizes - least + asked)[rows]]
        yield flat[rarest], rows[rarest] + done, asked
        done += len(sizes)


def _chunks(found: NDArray[numpy.int64], rows: NDArray[numpy.int64]) -> Iterator[slice]:
    """Cut what belongs to whole rows into slices of about two million candidates."""
    total = numpy.cumsum(found)
    ends = [*(numpy.flatnonzero(numpy.diff(rows)) + 1).tolist(), len(rows)]
    start = 0
    for end in ends:
        if end == len(rows) or total[end - 1] - (total[start - 1] if start else 0) >= CHUNK:
            yield slice(start, end)
            start = end


def _expanded(
    owners: NDArray[numpy.int64], first: NDArray[numpy.int64], counts: NDArray[numpy.int64]
) -> NDArray[numpy.int64]:
    """Return `owners[first:first + count]` of all end to end."""
    starts = numpy.repeat(first - numpy.concatenate([[0], numpy.cumsum(counts)[:-1]]), counts)
    expanded: NDArray[numpy.int64] = owners[starts + numpy.arange(len(starts))]
    return expanded
