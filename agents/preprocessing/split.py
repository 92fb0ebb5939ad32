"""The split: stratified by label, groups kept whole, and the same for the same rows in whatever order."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256

from agents.base.errors import InvalidData
from agents.outputs import SPLITS
from agents.rows import Row


def split_rows(
    rows: Sequence[Row], groups: Sequence[int], fractions: Mapping[str, float], seed: int, *, by_label: bool = True
) -> dict[str, list[int]]:
    """Return for each split the indices of its rows, in the order of the rows.

    Groups are drawn in the order of a hash of seed and text, label by label; a group counts as its commonest label.

    Raises:
        InvalidData: a label has too few different rows to be in every split.
    """
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    strata: defaultdict[str, list[list[int]]] = defaultdict(list)
    for indices in members.values():
        strata[_commonest(rows, indices) if by_label else ""].append(indices)
    placed: dict[str, list[int]] = {name: [] for name in SPLITS}
    for label, stratum in sorted(strata.items()):
        if len(stratum) < len(SPLITS):
            raise _too_few(label if by_label else None, len(stratum))
        for name, indices in _fill(sorted(stratum, key=lambda one: _rank(rows, one, seed)), fractions).items():
            placed[name] += indices
    return {name: sorted(indices) for name, indices in placed.items()}


def _too_few(label: str | None, count: int) -> InvalidData:
    if label is None:
        return InvalidData(
            f"There are {count} different prompts: too few to be in {', '.join(SPLITS)}.",
            cure="Add rows, or switch `dedup` to exact or none.",
        )
    return InvalidData(
        f"Label '{label}' has {count} different rows: too few to be in {', '.join(SPLITS)}.",
        cure="Add rows of this label, leave it out with `label_map`, or switch `dedup` to exact or none.",
    )


def _fill(stratum: list[list[int]], fractions: Mapping[str, float]) -> dict[str, list[int]]:
    """Give test and validation their share of one label's rows, at least one group each; train takes the others."""
    total = sum(len(indices) for indices in stratum)
    filled: dict[str, list[int]] = {"train": []}
    waiting = iter(stratum)
    left = len(stratum)
    for name in ("test", "validation"):
        filled[name] = list(next(waiting))
        left -= 1
        # Every split after this one needs a group of its own.
        needed_later = 2 if name == "test" else 1
        while left > needed_later and len(filled[name]) < round(fractions[name] * total):
            filled[name] += next(waiting)
            left -= 1
    for indices in waiting:
        filled["train"] += indices
    return filled


def _commonest(rows: Sequence[Row], indices: list[int]) -> str:
    counts = Counter(str(rows[index]["label"]) for index in indices)
    return min(counts, key=lambda label: (-counts[label], label))


def _rank(rows: Sequence[Row], indices: list[int], seed: int) -> str:
    return min(sha256(f"{seed}\n{rows[index]['text']}".encode()).hexdigest() for index in indices)
