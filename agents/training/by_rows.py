"""Hyperparameters that a config leaves open, chosen by the number of training rows.

Few rows have to be seen often, and many need not be: the epochs fall with the root of the number of rows, so that what
is seen in all still grows with it. Weights that are all trained move less at a time than an adapter's.
"""

import math
from typing import Any

from agents.models.kinds import ModelKind
from agents.training.types import TrainingConfig

#: Epochs times the root of the number of rows: of a classifier three for 7,500 rows and one from some 30,000 on; a
#: decoder learns from every token of an answer, and by heart after a few epochs.
EPOCHS_BY_ROOT: dict[ModelKind, int] = {"classifier": 260, "decoder": 80}
EPOCHS_MOST = 12
#: Rows from which -> the rate of an adapter.
ADAPTER_RATES = ((5000, 3e-4), (1000, 5e-4), (0, 1e-3))
FULL_RATE = 5e-5
#: A training whose epochs were chosen ends after a third of them without gain.
PATIENCE_SHARE = 1 / 3


def chosen(config: TrainingConfig, row_count: int) -> dict[str, Any]:
    """Return what the number of rows decides: the hyperparameters that the config leaves open -> their values."""
    found: dict[str, Any] = {}
    if config.epochs is None:
        epochs = min(EPOCHS_MOST, max(1, round(EPOCHS_BY_ROOT[config.known_task.kind] / math.sqrt(max(1, row_count)))))
        found["epochs"] = float(epochs)
        if config.early_stopping_patience is None:
            found["early_stopping_patience"] = max(2, math.ceil(epochs * PATIENCE_SHARE))
    if config.learning_rate is None:
        rate = next(rate for rows, rate in ADAPTER_RATES if row_count >= rows)
        found["learning_rate"] = FULL_RATE if config.method == "full" else rate
    return found
