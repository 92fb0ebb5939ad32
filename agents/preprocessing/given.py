"""Splits that the source gives: rows that it holds out stay as they are, and what is near them leaves train."""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy
from numpy.typing import NDArray

from agents.base.agent import Context
from agents.base.errors import InvalidData
from agents.data.files.records import shortened
from agents.data.types import SPLITS
from agents.preprocessing.dedup import drop_exact
from agents.preprocessing.types import PreprocessingConfig

Indices = NDArray[numpy.int64]
#: Labels that are named.
TOLD_LABELS = 20
Keys = NDArray[numpy.uint64]
#: In the order in which rows are compared: of two that are alike the one that is held out stays.
HELD_OUT = ("test", "validation")
TRAIN = SPLITS.index("train")


def place_of(split: str | None) -> int:
    """Return the index of a split in `SPLITS`; without one a row is of train."""
    return SPLITS.index(split) if split in SPLITS else TRAIN


@dataclass(frozen=True)
class GivenSplits:
    """The split of each row; int8 of shape (rows,), indices into `SPLITS`. Rows without one are of train."""

    places: NDArray[numpy.int8]

    @classmethod
    def of(cls, config: PreprocessingConfig, context: Context, splits: "array[int]", documents: Keys) -> Self | None:
        """Return the splits that rows have from their source; None where it gives none, or they are to be drawn anew.

        `splits`: of each row of the source, by `place_of`; `documents`: which of these each row is from.

        Raises:
            InvalidData: `split: given`, and the source gives none.
        """
        places = numpy.frombuffer(splits, dtype=numpy.int8)[documents.astype(numpy.int64)]
        held_out = {name: int((places == SPLITS.index(name)).sum()) for name in HELD_OUT}
        if not any(held_out.values()) or sum(held_out.values()) == len(places):
            if config.split == "given":
                raise InvalidData(
                    "`split` of preprocessing is `given`, and the source gives its rows no splits.",
                    cure="Name a folder with files of train and test, or leave out `split`.",
                )
            return None
        counts = {"train": len(places) - sum(held_out.values()), **held_out}
        if not config.honours_given:
            context.log("given_splits_drawn_anew", level="warning", rows=counts)
            return None
        context.log("given_splits", rows=counts)
        return cls(places)

    @property
    def missing(self) -> str | None:
        """The split that has to be drawn from train."""
        return next((name for name in HELD_OUT if not self.has(name)), None)

    def has(self, split: str) -> bool:
        return bool((self.places == SPLITS.index(split)).any())

    def held_out(self, indices: Indices) -> NDArray[numpy.bool_]:
        """Say of each row whether it is held out."""
        found: NDArray[numpy.bool_] = self.places[indices] != TRAIN
        return found

    def order(self) -> Indices:
        """Return all rows, those of test first, then those of validation, then those of train."""
        rank = numpy.array([2, 1, 0])[self.places]
        return numpy.argsort(rank, kind="stable")

    def placed(self, indices: Indices) -> dict[str, Indices]:
        """Return for each split the places in `indices`."""
        return {name: numpy.flatnonzero(self.places[indices] == number) for number, name in enumerate(SPLITS)}

    def drop_exact(self, keys: Keys, labels: Keys, *, several_answers: bool) -> tuple[Indices, Counter[str]]:
        """Return the rows that stay, in the order of `order`, and why rows of train are left out: they are exact
        duplicates of each other, or of a row that is held out."""
        order = self.order()
        is_held = self.held_out(order)
        held, train = order[is_held], order[~is_held]
        _, numbers = numpy.unique(keys, axis=0, return_inverse=True)
        alike = numpy.isin(numbers.reshape(-1)[train], numbers.reshape(-1)[held])
        train = train[~alike]
        kept, removed = drop_exact(keys[train], labels[train], several_answers=several_answers)
        if alike.any():
            removed["same_as_held_out"] += int(alike.sum())
        return numpy.concatenate([held, train[kept]]), removed

    def stays(self, kept: NDArray[numpy.bool_], indices: Indices) -> NDArray[numpy.bool_]:
        """Return which rows stay, where `kept` of them would: those that are held out were compared first, and stay."""
        found: NDArray[numpy.bool_] = kept | self.held_out(indices)
        return found

    def share_out(
        self, context: Context, indices: Indices, draw: Callable[[Indices], dict[str, Indices]]
    ) -> dict[str, Indices]:
        """Return for each split the places in `indices`. Of a split that the source lacks `draw` says which places in
        the train part, given by their places in `indices`, it gets."""
        placed = self.placed(indices)
        if (missing := self.missing) is not None:
            train = placed["train"]
            drawn = draw(train)[missing]
            placed[missing], placed["train"] = train[drawn], numpy.delete(train, drawn)
            context.log("split_drawn_from_train", split=missing, rows=len(drawn))
        return placed


def tell_strange_labels(context: Context, placed: Mapping[str, Indices], keys: Keys, names: Mapping[int, str]) -> None:
    """Say which labels of held-out rows are not in train: they can't be learned. `keys`: of each row's label."""
    known = set(keys[placed["train"]].tolist())
    for split in HELD_OUT:
        strange = sorted(shortened(names[key]) for key in set(keys[placed[split]].tolist()) - known if key in names)
        if strange:
            told = {"split": split, "labels": strange[:TOLD_LABELS], "count": len(strange)}
            context.log("labels_not_in_train", level="warning", **told)
