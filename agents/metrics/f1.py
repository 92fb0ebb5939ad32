"""F1, defined once: of counts, for labels, thresholds and parts of answers alike."""

from typing import overload

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


@overload
def f1_score(hits: int, named: int, present: int) -> float: ...
@overload
def f1_score(hits: Counts, named: Counts, present: Counts) -> NDArray[np.float64]: ...
def f1_score(hits: int | Counts, named: int | Counts, present: int | Counts) -> float | NDArray[np.float64]:
    """Return the harmonic mean of precision and recall; 0 where nothing was named and nothing is there.

    `hits`: rightly named, `named`: all named, `present`: all that are there.
    """
    total = named + present
    found: float | NDArray[np.float64] = 2 * hits / (total + (total == 0))
    return found
