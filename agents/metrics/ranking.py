"""Which of several candidates is the best by their figures: one rule for validations and for trainings."""

import math
from collections.abc import Mapping


def rank(figures: Mapping[str, float], metric: str, *, prefix: str = "") -> list[float]:
    """Return what decides between candidates; a larger one is better, and equal scores fall to the lower loss.

    `prefix`: of the figures' names, such as `validation_`. A figure that is missing or not a number is the worst there
    can be.
    """
    loss = -figures.get(f"{prefix}loss", math.inf)
    ranks = [loss] if metric == "loss" else [figures.get(f"{prefix}{metric}", -math.inf), loss]
    return [-math.inf if math.isnan(value) else value for value in ranks]
