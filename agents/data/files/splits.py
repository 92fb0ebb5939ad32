"""Splits that a source gives itself: by whole words in the names of its files, sheets and lists."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SplitName = Literal["train", "validation", "test"]
#: The words of Hugging Face's `datasets` (`data_files.py`), and those that people use besides.
WORDS: dict[SplitName, frozenset[str]] = {
    "train": frozenset({"train", "training", "trainset", "trn"}),
    "validation": frozenset({"validation", "validate", "valid", "val", "dev", "devel", "development", "devset"}),
    "test": frozenset({"test", "testing", "testset", "tst", "eval", "evaluation", "holdout", "heldout"}),
}
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words}
#: Capital letters begin words inside of words: `TrainData`, `mySet`.
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
#: Names of columns in which rows say their split.
COLUMNS = frozenset(
    {"split", "splits", "set", "partition", "subset", "usage", "phase", "data_split", "dataset_split", "split_name"}
)
HELD_OUT = re.compile(r"(?i)(?<![a-z])(hold|held)[-_. ]?out(?![a-z])")
NO_SPLIT = "its name has no split, beside others whose names have one"
TWO_SPLITS = "its name has the words of two splits"


@dataclass(frozen=True)
class Choice:
    """Parts of a source by name. `taken`: part -> its split, None: it has none; `left_out`: part -> why."""

    taken: Mapping[str, SplitName | None]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def splits(self) -> frozenset[SplitName]:
        return frozenset(split for split in self.taken.values() if split is not None)


def split_of(name: str) -> SplitName | None:
    """Return the split that a name tells, None where it tells none or two.

    The last part of a path that tells one decides: `train/en.csv` and `en/train-00000-of-00003.parquet` are of train;
    `restraints.csv` and `pretrained/` are not.
    """
    for part in reversed(name.split("/")):
        found = _splits_in(part)
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def split_column(sample: Sequence[Mapping[str, Any]], taken: Collection[str | None] = ()) -> str | None:
    """Return the column in which rows say their split; None where there is none. `taken`: columns of other use."""
    names = dict.fromkeys(name for row in sample for name in row if name.strip().casefold() in COLUMNS)
    for name in names:
        cells = {row.get(name) for row in sample if not isinstance(row.get(name), list | dict)} - {None, ""}
        if name not in taken and cells and all(isinstance(cell, str) and split_of(cell) for cell in cells):
            return name
    return None


def _splits_in(part: str) -> set[SplitName]:
    words = (word.lower() for word in WORD.findall(HELD_OUT.sub(" holdout ", part)))
    return {SPLIT_OF[word] for word in words if word in SPLIT_OF}


def choose(names: Iterable[str]) -> Choice:
    """Return which parts of a source are rows, and of which split each is, by their names alone.

    Beside parts of train those without a split are left out. Without any of train, those without a split are train.
    Parts of test or validation alone are no splits: they are what there is.
    """
    found = {name: split_of(name) for name in names}
    splits = set(found.values()) - {None}
    if "train" in splits:
        taken = {name: split for name, split in found.items() if split}
        return Choice(taken, {name: _why(name) for name, split in found.items() if not split})
    if splits and None in found.values():
        return Choice({name: split or "train" for name, split in found.items()})
    return Choice(dict.fromkeys(found))


def _why(name: str) -> str:
    return TWO_SPLITS if any(len(_splits_in(part)) > 1 for part in name.split("/")) else NO_SPLIT
