"""A baseline and the tuned model on the same rows: differences, and rows where only one of them is right."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from agents.base.agent import Context
from agents.base.loading import load_object
from agents.comparison.types import ComparisonConfig
from agents.evaluation.types import EvaluationOutput
from agents.metrics.bootstrap import difference_interval
from agents.metrics.compared import Compared
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks import find_task


@dataclass(frozen=True)
class Side:
    """One model's answers. `right`: bool of shape (rows,); `value`: a metric of some of the rows."""

    said: list[str]
    right: np.ndarray
    metrics: dict[str, float]
    value: Callable[[str, np.ndarray], float]


@dataclass(frozen=True)
class Pair:
    """The rows as they are (`numbers` in the source, texts, expected answers), and both models' answers."""

    numbers: list[int]
    texts: list[str]
    expected: list[str]
    baseline: Side
    tuned: Side
    strata: np.ndarray | None = None
    """Where each row has one label: int64 of shape (rows,), by which rows are drawn again."""

    def compared(self, metric: str) -> Compared:
        """Return the figures of both, and the difference of one with its interval."""
        every, ours, theirs = np.arange(len(self.texts)), self.tuned.right, self.baseline.right
        sides = partial(self.tuned.value, metric), partial(self.baseline.value, metric)
        return Compared(
            rows=len(self.texts),
            metrics=self.baseline.metrics,
            tuned=self.tuned.metrics,
            difference=sides[0](every) - sides[1](every),
            difference_interval=difference_interval(*sides, len(self.texts), strata=self.strata),
            fixed=int((ours & ~theirs).sum()),
            broken=int((theirs & ~ours).sum()),
        )

    def examples(self, at_most: int) -> list[dict[str, Any]]:
        """Return rows that one of the two has right, in their order; those that only the baseline has right first,
        at most half of all, for there are few of them and they tell the most."""
        ours, theirs = self.tuned.right, self.baseline.right
        broken, fixed = (np.flatnonzero(found).tolist() for found in (theirs & ~ours, ours & ~theirs))
        broken = broken[: max(at_most // 2, at_most - len(fixed))]
        return [self._example(row) for row in [*broken, *fixed[: at_most - len(broken)]]]

    def _example(self, row: int) -> dict[str, Any]:
        return {
            "row": self.numbers[row],
            "text": self.texts[row],
            "expected": self.expected[row],
            "baseline": self.baseline.said[row],
            "tuned": self.tuned.said[row],
            "right": "tuned" if self.tuned.right[row] else "baseline",
        }


def make_pairs(
    config: ComparisonConfig, context: Context, data: PreprocessingOutput, judged: EvaluationOutput
) -> dict[str, Pair]:
    """Return baseline -> its answers beside the judged model's.

    Raises:
        InvalidData: a baseline can't learn the rows. InvalidModel: the base model can't be loaded.
    """
    found: dict[str, Pair] = load_object(find_task(judged.training.task).pairs)(config, context, data, judged)
    return found
