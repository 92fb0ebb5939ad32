"""The report of an evaluation: every figure and the points of every curve, as JSON."""

from collections.abc import Sequence
from typing import Any

from agents.base.object_store import ObjectStore
from agents.tasks.measure import Measured
from agents.training.types import TrainingOutput

#: A picture shows no more points than that.
LOSS_POINTS_MOST = 1000


def make_report(
    objects: ObjectStore, training: TrainingOutput, measured: Measured, warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the report; `loss` has `[step, loss]` of the training and of the validation split."""
    curve: list[dict[str, Any]] = objects.get_json(training.curve)
    return {
        "labels": training.labels,
        "metrics": measured.metrics,
        "warnings": list(warnings),
        "confusion": measured.confusion,
        "threshold": measured.threshold.model_dump() if measured.threshold else None,
        "temperature": measured.calibration.model_dump() if measured.calibration else None,
        **measured.curves,
        "loss": {"training": _points(curve, "loss"), "validation": _points(curve, "validation_loss")},
    }


def _points(curve: list[dict[str, Any]], name: str) -> list[list[float]]:
    points = [[record["step"], record[name]] for record in curve if name in record]
    every = -(-len(points) // LOSS_POINTS_MOST)
    return points[:: max(1, every)]
