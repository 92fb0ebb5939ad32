"""The decision threshold of a binary classifier: chosen on validation rows, and what it would do to the test's."""

from dataclasses import dataclass

import numpy as np

from agents.metrics.f1 import f1_score
from agents.metrics.types import Threshold

#: What a runtime does that answers with the likelier of two labels.
HALF = 0.5


@dataclass(frozen=True)
class ScoredRows:
    """`is_positive`: bool, `scores`: probabilities of the positive label, both of shape (rows,)."""

    is_positive: np.ndarray
    scores: np.ndarray

    def figures(self, threshold: float) -> dict[str, float]:
        """Return the positive label's figures when it is said from a threshold on."""
        said = self.scores >= threshold
        hits, named, present = int((said & self.is_positive).sum()), int(said.sum()), int(self.is_positive.sum())
        return {
            "accuracy": float((said == self.is_positive).mean()),
            "precision": hits / max(1, named),
            "recall": hits / max(1, present),
            "f1": f1_score(hits, named, present),
        }


def find_threshold(label: str, validation: ScoredRows, test: ScoredRows) -> Threshold:
    """Return the threshold chosen on the validation rows alone, and its figures there and on the test rows."""
    value = best_threshold(validation)
    return Threshold(
        label=label,
        value=value,
        validation_rows=len(validation.scores),
        validation_f1=validation.figures(value)["f1"],
        validation_f1_at_half=validation.figures(HALF)["f1"],
        test=test.figures(value),
    )


def best_threshold(rows: ScoredRows) -> float:
    """Return the threshold with the best F1; of equally good ones that nearest to 0.5.

    Considered are 0.5 and the middles between neighbouring scores: any other threshold decides as one of these.
    """
    known = np.unique(rows.scores)
    candidates = np.concatenate([[HALF], (known[1:] + known[:-1]) / 2])
    said = rows.scores[None, :] >= candidates[:, None]
    hits = (said & rows.is_positive[None, :]).sum(axis=1)
    f1 = f1_score(hits, said.sum(axis=1), rows.is_positive.sum())
    order = np.lexsort((np.abs(candidates - HALF), -f1))
    return float(candidates[order[0]])
