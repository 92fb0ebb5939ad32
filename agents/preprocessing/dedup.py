"""Duplicates: exact ones by their key, near ones by MinHash LSH with every candidate's similarity checked."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents.cleaning import exact_key
from agents.preprocessing.shingles import jaccard
from agents.rows import Row

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

PERMUTATIONS = 128
#: Accepted chance that LSH overlooks a pair that is exactly as similar as the threshold.
MISSED_SHARE = 1e-4


@dataclass
class Deduplicated:
    """Rows that stay. `groups`: for each of them the number of its group; a group must not be split."""

    rows: list[Row]
    groups: list[int]
    dropped: Counter[str] = field(default_factory=Counter)


def drop_exact(rows: Sequence[Row], *, several_answers: bool = False) -> tuple[list[Row], Counter[str]]:
    """Keep the first of rows that differ only in case, blanks and forms of characters.

    Where such rows have different labels none of them stays: nobody knows which is right. With `several_answers`
    all of them stay: one prompt may well have several answers.
    """
    labels: defaultdict[str, set[str]] = defaultdict(set)
    keys = [exact_key(row["text"]) for row in rows]
    for key, row in zip(keys, rows, strict=True):
        labels[key].add(row["label"])
    seen: set[tuple[str, str]] = set()
    kept: list[Row] = []
    dropped: Counter[str] = Counter()
    for key, row in zip(keys, rows, strict=True):
        if len(labels[key]) > 1 and not several_answers:
            dropped["conflicting_label"] += 1
        elif (key, row["label"]) in seen:
            dropped["exact_duplicate"] += 1
        else:
            seen.add((key, row["label"]))
            kept.append(row)
    return kept, dropped


def near_pairs(
    sets: "Sequence[NDArray[numpy.uint32]]", threshold: float, progress: Callable[[int], None]
) -> Iterator[tuple[int, int]]:
    """Yield all pairs `(earlier, later)` of sets whose Jaccard similarity is `threshold` or more.

    Source: Indyk and Motwani, "Approximate nearest neighbors" (1998), LSH over MinHash signatures.
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=PERMUTATIONS, params=bands(threshold))
    template = MinHash(num_perm=PERMUTATIONS, hashfunc=int)
    for later, pieces in enumerate(sets):
        signature = template.copy()
        signature.update_batch(pieces.tolist())
        for earlier in sorted(index.query(signature)):
            if jaccard(sets[earlier], pieces) >= threshold:
                yield earlier, later
        index.insert(later, signature, check_duplication=False)
        progress(later + 1)


def bands(threshold: float) -> tuple[int, int]:
    """Return the number of bands and the rows of each that find a pair at the threshold all but surely.

    A pair of similarity s shares a band of r rows with probability s^r, so it is missed with (1 - s^r)^b. The
    longest bands that miss less than one in ten thousand give the fewest candidates to check.
    """
    rows = 1
    # Fewer than two bands are none: only at a threshold of 1 they would get that long.
    while rows < PERMUTATIONS // 2 and (1 - threshold ** (rows + 1)) ** (PERMUTATIONS // (rows + 1)) <= MISSED_SHARE:
        rows += 1
    return PERMUTATIONS // rows, rows


def drop_near(
    rows: Sequence[Row],
    sets: "Sequence[NDArray[numpy.uint32]]",
    threshold: float,
    *,
    drop: bool,
    progress: Callable[[int], None],
) -> tuple[Deduplicated, "list[Any]"]:
    """Group near duplicates, and with `drop` keep of each group only rows that are not near an earlier kept one.

    Near duplicates with different labels all stay: what tells them apart is worth learning. They stay in one group.
    """
    groups = list(range(len(rows)))
    removed: set[int] = set()
    # Pairs come sorted by their later row, so whether the earlier one stays is known.
    for earlier, later in near_pairs(sets, threshold, progress):
        _join(groups, earlier, later)
        if drop and earlier not in removed and rows[earlier]["label"] == rows[later]["label"]:
            removed.add(later)
    kept = [index for index in range(len(rows)) if index not in removed]
    dropped = Counter({"near_duplicate": len(removed)}) if removed else Counter[str]()
    result = Deduplicated([rows[index] for index in kept], [_root(groups, index) for index in kept], dropped)
    return result, [sets[index] for index in kept]


def _root(groups: list[int], index: int) -> int:
    while groups[index] != index:
        groups[index] = groups[groups[index]]
        index = groups[index]
    return index


def _join(groups: list[int], one: int, other: int) -> None:
    first, second = sorted((_root(groups, one), _root(groups, other)))
    groups[second] = first
