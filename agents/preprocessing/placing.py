"""Rows placed in splits: duplicates dropped as configured, groups kept whole, leaks closed."""

from collections import Counter
from contextlib import closing

import numpy
from numpy.typing import NDArray

from agents.base.agent import Context
from agents.data.cleaning import exact_key
from agents.data.losses import check_lost
from agents.data.row_keys import seen_text
from agents.preprocessing.boilerplate import Boilerplate, find_boilerplate
from agents.preprocessing.dedup import drop_exact, find_near, join_documents, join_templates
from agents.preprocessing.given import HELD_OUT, GivenSplits, tell_strange_labels
from agents.preprocessing.leaks import find_leaks
from agents.preprocessing.refusals import LOST_CURES, check_minimum, higher_threshold, near_cure, too_few_groups
from agents.preprocessing.shingles import ShingleSets, compared
from agents.preprocessing.split import TooFewGroups, split_rows
from agents.preprocessing.types import PreprocessingConfig
from agents.preprocessing.work_rows import WorkRows
from agents.tasks.preparation import Preparation

Indices = NDArray[numpy.int64]
#: How often progress is reported, which also looks for a cancel.
PROGRESS_ROWS = 500
#: The sample in which boilerplate is looked for.
SAMPLE_ROWS, SAMPLE_CHARACTERS = 20_000, 4_000_000
#: Of more rows no other setting is tried for the cure in a refusal.
TRIED_ROWS = 20_000
SHARED_OUT = (
    "Rows that differ in numbers alone and have one answer are in several splits: they are too many of their label to "
    "be in one. Test figures may flatter."
)


class Placing:
    """The rows that are compared, and what is found of them. `kept`: indices of rows without exact duplicates."""

    def __init__(
        self,
        config: PreprocessingConfig,
        context: Context,
        rows: WorkRows,
        preparation: Preparation,
        given: GivenSplits | None,
    ) -> None:
        self.config, self.context, self.rows = config, context, rows
        self.preparation, self.given = preparation, given
        self.removed = Counter[str]()
        self.kept: Indices = numpy.arange(len(rows)) if given is None else given.order()
        if config.dedup != "none":
            drop = drop_exact if given is None else given.drop_exact
            self.kept, self.removed = drop(rows.keys, rows.labels, several_answers=preparation.several_answers)

    def place(self, dropped: Counter[str], minimum_rows: int | None) -> tuple[dict[str, Indices], int]:
        """Return the indices of each split, and the rows of test that leak. `dropped`: counts what was left out before,
        and here.

        Near duplicates that stay are grouped, unless `dedup` is none.

        Raises:
            InvalidData: too few rows are left, too large a share is lost, or they can't be in every split.
        """
        texts = (seen_text(row) for row in self.rows.read(self.kept))
        with closing(ShingleSets(self.context.work_dir / "shingles.bin", texts, self._boilerplate())) as sets:
            near, groups = self._near(sets, self.config.near_threshold, drop=self.config.dedup == "near", tell=True)
            if len(near) < len(self.kept):
                self.removed["near_duplicate"] += len(self.kept) - len(near)
            dropped += self.removed
            if self.removed:
                reasons = dict(self.removed)
                self.context.log("duplicates_removed", rows=sum(reasons.values()), reasons=reasons, rows_left=len(near))
            self._check_lost(sets, dropped, len(near))
            check_minimum(minimum_rows, len(near), dropped)
            placed = {name: near[indices] for name, indices in self._split(sets, near, groups).items()}
            leaked = self._close_leaks(sets, placed, dropped)
        placed = {name: self.kept[indices] for name, indices in placed.items()}
        if self.preparation.needs_every_label:
            tell_strange_labels(self.context, placed, self.rows.labels, self.rows.label_names)
        return placed, leaked

    # -- duplicates ------------------------------------------------------------------------------

    def _boilerplate(self) -> Boilerplate:
        """Return what many rows share, found in a sample spread evenly over all."""
        step = max(1, -(-len(self.kept) // SAMPLE_ROWS))
        texts: list[str] = []
        characters = 0
        for row in self.rows.read(self.kept[::step]):
            texts.append(compared(exact_key(seen_text(row))))
            characters += len(texts[-1])
            if characters > SAMPLE_CHARACTERS:
                break
        return find_boilerplate(texts, self.rows.labels[self.kept[::step][: len(texts)]])

    def _near(
        self, sets: ShingleSets, threshold: float, *, drop: bool, tell: bool = False
    ) -> tuple[Indices, NDArray[numpy.int64]]:
        """Return the numbers of the sets that stay, and the group of each; a set is known by its place in `kept`."""
        if self.config.dedup == "none" or not len(self.kept):
            return numpy.arange(len(self.kept)), numpy.arange(len(self.kept))
        progress = self._progress if tell else _quiet
        found = find_near(sets, self.rows.labels[self.kept], threshold, drop=drop, progress=progress)
        near = numpy.flatnonzero(found.kept if self.given is None else self.given.stays(found.kept, self.kept))
        return near, found.groups[near]

    def _progress(self, done: int) -> None:
        """Report the second third of the work."""
        if done % PROGRESS_ROWS == 0:
            self.context.progress(len(self.kept) + done, 3 * len(self.kept))

    def _check_lost(self, sets: ShingleSets, dropped: Counter[str], left: int) -> None:
        others = dropped.total() - dropped["near_duplicate"]
        most = self.config.maximum_lost_share * (dropped.total() + left)

        def fewer_lost(threshold: float) -> bool:
            return others + len(self.kept) - len(self._near(sets, threshold, drop=True)[0]) <= most

        def cure_of(reason: str) -> str:
            if reason != "near_duplicate" or len(self.kept) > TRIED_ROWS:
                return LOST_CURES.get(reason, "The log names the first of these rows.")
            grouped = others <= most and self._can_split(
                sets, *self._near(sets, self.config.near_threshold, drop=False)
            )
            return near_cure(higher_threshold(self.config, fewer_lost), grouped=grouped)

        check_lost(self.context, "preprocessing", +dropped, left, self.config.maximum_lost_share, cure_of)

    # -- splits ----------------------------------------------------------------------------------

    def _split(self, sets: ShingleSets, near: Indices, groups: NDArray[numpy.int64]) -> dict[str, Indices]:
        """Return for each split the places in `near`."""
        joined, shared_out = self._joined(sets, near, groups)
        try:
            placed = self._share_out(joined, near)
        except TooFewGroups as fault:
            drop = self.config.dedup == "near"
            tried = len(self.kept) <= TRIED_ROWS
            threshold = higher_threshold(
                self.config, lambda higher: tried and self._can_split(sets, *self._near(sets, higher, drop=drop))
            )
            raise too_few_groups(fault, threshold) from fault
        if shared_out and (self.given is None or self.given.missing):
            self.context.log("templates_shared_out", level="warning", rows=shared_out, meaning=SHARED_OUT)
        self.context.log("rows_split", rows={name: len(indices) for name, indices in placed.items()})
        return placed

    def _joined(
        self, sets: ShingleSets, near: Indices, groups: NDArray[numpy.int64]
    ) -> tuple[NDArray[numpy.int64], int]:
        """Return groups in which the rows of a document are together, and those of a template."""
        indices = self.kept[near]
        together = join_documents(groups, self.rows.documents[indices])
        if self.config.dedup == "none":
            return together, 0
        has_labels = bool(self.rows.label_names)
        return join_templates(together, sets.templates[near], self.rows.labels[indices], has_labels=has_labels)

    def _can_split(self, sets: ShingleSets, near: Indices, groups: NDArray[numpy.int64]) -> bool:
        joined, _ = self._joined(sets, near, groups)
        try:
            self._share_out(joined, near)
        except TooFewGroups:
            return False
        return True

    def _share_out(self, groups: NDArray[numpy.int64], near: Indices) -> dict[str, Indices]:
        """Return for each split the places in `near`: all shared out, or of given splits the one that is missing."""

        def draw(places: Indices) -> dict[str, Indices]:
            some, every = self.kept[near[places]], self.preparation.needs_every_label
            strata, names = self._strata(some)
            ranks = self.rows.ranks[some]
            return split_rows(groups[places], ranks, self.config.shares, strata, names, every_stratum=every)

        if self.given is None:
            return draw(numpy.arange(len(near)))
        return self.given.share_out(self.context, self.kept[near], draw)

    def _strata(self, indices: Indices) -> tuple[NDArray[numpy.int64], list[str]]:
        """Return for each row the number of its stratum, and the strata, sorted; without names one stratum of all."""
        rows = self.rows
        if not rows.label_names:
            return numpy.zeros(len(indices), dtype=numpy.int64), []
        keys, numbers, counts = numpy.unique(rows.labels[indices], return_inverse=True, return_counts=True)
        labels = [rows.label_names[key] for key in keys.tolist()]
        stratum = self.preparation.strata(dict(zip(labels, counts.tolist(), strict=True)))
        names = sorted(set(stratum.values()))
        place = {name: number for number, name in enumerate(names)}
        places = numpy.array([place[stratum[label]] for label in labels], dtype=numpy.int64)
        return places[numbers], names

    def _close_leaks(self, sets: ShingleSets, placed: dict[str, Indices], dropped: Counter[str]) -> int:
        """Report near duplicates between train and what is held out; return in how many rows of test they are left.

        LSH may have overlooked a pair: unless `dedup` is none, such rows leave train, and none is left.
        """
        left: dict[str, int] = {}
        for split in HELD_OUT if self.given else HELD_OUT[:1]:
            pairs = find_leaks(sets, placed[split], placed["train"], self.config.near_threshold)
            leaking = sorted({index for _, index in pairs})
            if self.config.dedup != "none" and leaking:
                placed["train"] = numpy.delete(placed["train"], leaking)
                dropped[f"leaks_into_{split}"] += len(leaking)
                pairs = []
            left[split] = len({index for index, _ in pairs})
        self.context.log(
            "leak_report",
            level="warning" if any(left.values()) else "info",
            **{f"{split}_rows_near_train": count for split, count in left.items()},
            train_rows_removed=sum(dropped[f"leaks_into_{split}"] for split in left) + dropped["same_as_held_out"],
            threshold=self.config.near_threshold,
        )
        return left["test"]


def _quiet(_: int) -> None:
    """Tell nobody."""
