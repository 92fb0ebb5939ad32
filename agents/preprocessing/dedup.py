"""Duplicates: exact ones by their key, near ones by MinHash LSH with every candidate's similarity checked.

Both look at arrays only, so that many rows fit into memory.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy
from numpy.typing import NDArray
from rensa import RMinHash

from agents.preprocessing.shingles import ShingleSets, jaccard
from agents.preprocessing.windows import MULTIPLIER

PERMUTATIONS = 128
MINHASH_SEED = 1
#: Accepted chance that LSH overlooks a pair that is exactly as similar as the threshold.
MISSED_SHARE = 1e-4
NONE = -1
#: Rows of one template go to one split where at least this share of them has one answer ...
TEMPLATE_ANSWER_SHARE = 0.9
#: ... and they are at most this share of that answer's rows: with more there would be nothing to share out.
TEMPLATE_SHARE_MOST = 0.1


@dataclass(frozen=True)
class Near:
    """What near duplicates lead to. `kept`: bool of shape (rows,); `groups`: int64 of shape (rows,), the first row
    of the group that each is in; a group must not be split."""

    kept: NDArray[numpy.bool_]
    groups: NDArray[numpy.int64]


def drop_exact(
    keys: NDArray[numpy.uint64], labels: NDArray[numpy.uint64], *, several_answers: bool = False
) -> tuple[NDArray[numpy.int64], Counter[str]]:
    """Return the first of rows with one key, going up, and why others are left out.

    Where rows of one key have different labels none of them stays: it is not known which is right. With
    `several_answers` one of each stays: one prompt may well have several answers.
    """
    order = numpy.lexsort((labels, keys[:, 1], keys[:, 0]))
    sorted_keys, sorted_labels = keys[order], labels[order]
    new_key = numpy.ones(len(order), dtype=bool)
    new_key[1:] = (sorted_keys[1:] != sorted_keys[:-1]).any(axis=1)
    first = new_key.copy()
    first[1:] |= sorted_labels[1:] != sorted_labels[:-1]
    key_numbers = numpy.cumsum(new_key) - 1
    conflicting = numpy.bincount(key_numbers[first])[key_numbers] > 1
    if several_answers:
        conflicting[:] = False
    kept = numpy.sort(order[first & ~conflicting])
    counts = {
        "conflicting_label": int(conflicting.sum()),
        "exact_duplicate": int((~first & ~conflicting).sum()),
    }
    return kept, Counter({reason: count for reason, count in counts.items() if count})


def bands(threshold: float) -> tuple[int, int]:
    """Return the number of bands and the rows of each that find a pair at the threshold all but surely.

    A pair of similarity s shares a band of r rows with probability s^r, so it is missed with (1 - s^r)^b. The
    longest bands that miss less than one in ten thousand give the fewest candidates to check.
    """
    rows = 1
    # At least two bands: only at a threshold of 1 would rows get longer than that.
    while rows < PERMUTATIONS // 2 and (1 - threshold ** (rows + 1)) ** (PERMUTATIONS // (rows + 1)) <= MISSED_SHARE:
        rows += 1
    return PERMUTATIONS // rows, rows


def find_near(
    sets: ShingleSets,
    labels: NDArray[numpy.uint64],
    threshold: float,
    *,
    drop: bool,
    progress: Callable[[int], None],
) -> Near:
    """Group near duplicates, and with `drop` keep of each group only rows that are not near an earlier kept one.

    Near duplicates with different labels all stay: what tells them apart is worth learning. They stay in one group.
    Source: Indyk and Motwani, "Approximate nearest neighbors" (1998), LSH over MinHash signatures.
    """
    chains = _Chains(_band_hashes(sets, threshold))
    kept = numpy.ones(len(sets), dtype=bool)
    groups = numpy.arange(len(sets))
    for later in range(len(sets)):
        progress(later + 1)
        earlier = chains.earlier(later)
        if not earlier:
            continue
        near = _near(sets, later, earlier, threshold)
        for other, similarity in near:
            _join(groups, other, later)
            same = labels[other] == labels[later]
            if drop and same:
                kept[later] = False
            # What is near this row is near the other one, too: nothing has to be compared with this one again.
            if (drop and same) or similarity == 1:
                chains.skip(later)
                break
    return Near(kept, _roots(groups))


def join_documents(groups: NDArray[numpy.int64], documents: NDArray[numpy.uint64]) -> NDArray[numpy.int64]:
    """Return groups in which also the parts of one document are together; each is named by its first place."""
    joined = _first_places(groups)
    first = _first_places(documents)
    for index in numpy.flatnonzero(first != numpy.arange(len(first))).tolist():
        _join(joined, int(first[index]), index)
    return _roots(joined)


class Templates(NamedTuple):
    """Groups in which rows of one template are together, and how many rows of a template are in several groups though
    they have one answer."""

    groups: NDArray[numpy.int64]
    shared_out: int


def join_templates(
    groups: NDArray[numpy.int64],
    templates: NDArray[numpy.uint64],
    answers: NDArray[numpy.uint64],
    *,
    has_labels: bool,
) -> Templates:
    """Join rows that differ in numbers alone, unless the numbers tell the answer, or the template is how many rows are
    written: of a label, or without labels of all. Neither is then a twin of another.
    """
    _, template, sizes = numpy.unique(templates, return_inverse=True, return_counts=True)
    _, answer, answer_rows = numpy.unique(answers, return_inverse=True, return_counts=True)
    width = len(answer_rows) + 1
    keys, rows = numpy.unique(template * width + answer, return_counts=True)
    most = numpy.zeros(len(sizes), dtype=numpy.int64)
    numpy.maximum.at(most, keys // width, rows)
    base = numpy.zeros(len(sizes), dtype=numpy.int64)
    commonest = rows == most[keys // width]
    numpy.maximum.at(base, (keys // width)[commonest], answer_rows[(keys % width)[commonest]])
    one_answer = (sizes > 1) & (most >= TEMPLATE_ANSWER_SHARE * sizes)
    few = sizes <= TEMPLATE_SHARE_MOST * (base if has_labels else len(groups))
    joined = groups.copy()
    first = _first_places(templates)
    for index in numpy.flatnonzero((one_answer & few)[template] & (first != numpy.arange(len(first)))).tolist():
        _join(joined, int(first[index]), index)
    return Templates(_roots(joined), int(sizes[one_answer & ~few].sum()))


def _first_places(values: NDArray[numpy.int64] | NDArray[numpy.uint64]) -> NDArray[numpy.int64]:
    """Return for each value the place where it comes first."""
    _, first, number = numpy.unique(values, return_index=True, return_inverse=True)
    places: NDArray[numpy.int64] = first[number]
    return places


def _band_hashes(sets: ShingleSets, threshold: float) -> NDArray[numpy.uint32]:
    """Return for each text one hash for each of its signature's bands; uint32 of shape (rows, bands)."""
    band_count, rows = bands(threshold)
    used = band_count * rows
    found = numpy.empty((len(sets), band_count), dtype=numpy.uint32)
    done = 0
    for flat, offsets in sets.batches():
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            flat.astype(numpy.uint64), offsets.astype(numpy.uint64), used, MINHASH_SEED
        )
        signatures = numpy.array(matrix.to_rows(), dtype=numpy.uint64).reshape(-1, band_count, rows)
        mixed = numpy.zeros(signatures.shape[:2], dtype=numpy.uint64)
        for place in range(rows):
            mixed = (mixed ^ signatures[:, :, place]) * numpy.uint64(MULTIPLIER)
            mixed ^= mixed >> numpy.uint64(29)
        found[done : done + len(mixed)] = mixed >> numpy.uint64(32)
        done += len(mixed)
    return found


class _Chains:
    """For each row and band the row before it with the same hash; asked in the order of rows.

    Rows that are skipped are cut out as the chains are walked, so that a walk stays short however many there are.
    """

    def __init__(self, hashes: NDArray[numpy.uint32]) -> None:
        self._bands = hashes.shape[1]
        # In place of the hashes, which are not needed any more: two such arrays would be large.
        before = hashes.view(numpy.int32)
        for band in range(self._bands):
            order = numpy.argsort(hashes[:, band], kind="stable")
            same = hashes[order[1:], band] == hashes[order[:-1], band]
            before[:, band] = NONE
            before[order[1:][same], band] = order[:-1][same]
        self._before: memoryview[int] = memoryview(before.reshape(-1).data)
        self._skipped = bytearray(len(hashes))

    def earlier(self, row: int) -> list[int]:
        """Return the earlier rows that share a band with this one and are not skipped, going up."""
        found: set[int] = set()
        for band in range(self._bands):
            other = self._unskipped(row, band)
            while other != NONE:
                found.add(other)
                other = self._unskipped(other, band)
        return sorted(found)

    def skip(self, row: int) -> None:
        """Leave a row out of all later answers."""
        self._skipped[row] = 1

    def _unskipped(self, row: int, band: int) -> int:
        place = row * self._bands + band
        other: int = self._before[place]
        if other != NONE and self._skipped[other]:
            while other != NONE and self._skipped[other]:
                other = self._before[other * self._bands + band]
            self._before[place] = other
        return other


def _near(sets: ShingleSets, row: int, others: list[int], threshold: float) -> Iterator[tuple[int, float]]:
    """Yield those of `others` that are as similar as the threshold, with their similarity."""
    size, pieces = sets.size(row), None
    for other in others:
        smaller, larger = sorted((size, sets.size(other)))
        # All pieces of the smaller set in common would still be too few.
        if smaller < threshold * larger - 1e-9:
            continue
        pieces = sets[row] if pieces is None else pieces
        similarity = jaccard(sets[other], pieces)
        if similarity >= threshold:
            yield other, similarity


def _roots(groups: NDArray[numpy.int64]) -> NDArray[numpy.int64]:
    """Return the root of each row's group."""
    found = groups
    while (found[found] != found).any():
        found = found[found]
    return found


def _root(groups: NDArray[numpy.int64], index: int) -> int:
    while groups[index] != index:
        groups[index] = groups[groups[index]]
        index = int(groups[index])
    return index


def _join(groups: NDArray[numpy.int64], one: int, other: int) -> None:
    first, second = sorted((_root(groups, one), _root(groups, other)))
    groups[second] = first
