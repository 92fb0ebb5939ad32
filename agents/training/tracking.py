"""A training's metrics in other programs: TensorBoard, MLflow, Weights & Biases, by accelerate's trackers.

All is sent from one thread of its own: a tracker that is slow, away or not installed is named in the log, once, and
neither fails a training nor holds it up. Where the servers are and who may write to them stands in the worker's
environment (`MLFLOW_TRACKING_URI`, `WANDB_API_KEY` ...), as these libraries read it, and never in a spec.
"""

import os
import queue
import re
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from accelerate.tracking import GeneralTracker, MLflowTracker, TensorBoardTracker, WandBTracker

from agents.base.agent import Context
from agents.base.errors import first_line
from agents.base.folders import upload
from agents.base.records import Artifact
from agents.training.types import Tracker

#: What a training waits for its last metrics to be sent.
CLOSE_TIMEOUT_S = 10.0
#: Metrics that wait to be sent at most; past this the newest are left out.
QUEUE_SIZE = 10_000

#: File systems allow 255.
LONGEST_FOLDER_NAME = 200

#: Where the environment doesn't say otherwise: MLflow's own tries would outlast a training; nobody else is told of it.
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
}

Metrics = tuple[int, Mapping[str, float]]


class Trackers:
    """The trackers of one attempt. Each attempt is a run of its own there, with the curve from the first step on."""

    def __init__(self, names: list[Tracker], context: Context, hyperparameters: Mapping[str, Any]) -> None:
        self._names, self._context, self._hyperparameters = names, context, flat(hyperparameters)
        self._metrics: queue.Queue[Metrics | None] = queue.Queue(QUEUE_SIZE)
        self._thread = threading.Thread(target=self._work, name="trackers", daemon=True)
        if names:
            self._thread.start()

    def send(self, step: int, metrics: Mapping[str, float]) -> None:
        """Have metrics sent; never waits."""
        if self._names and not self._metrics.full():
            self._metrics.put_nowait((step, metrics))

    def close(self) -> None:
        """Send what is left and close the runs, in 10 seconds at most."""
        if not self._thread.is_alive():
            return
        if not self._metrics.full():
            self._metrics.put_nowait(None)
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            self._tell("all", f"not done {CLOSE_TIMEOUT_S:.0f} s after the training")

    def artifacts(self) -> dict[str, Artifact]:
        """Return TensorBoard's event files, put into the store, by name."""
        return upload(self._context.objects, self._folder) if "tensorboard" in self._names else {}

    # -- the thread ----------------------------------------------------------------------------

    def _work(self) -> None:
        trackers = {name: tracker for name in self._names if (tracker := self._started(name))}
        while (metrics := self._metrics.get()) is not None:
            for name in list(trackers):
                if not self._try(name, _log, trackers[name], *metrics):
                    del trackers[name]
        for name, tracker in trackers.items():
            self._try(name, tracker.finish)

    def _started(self, name: Tracker) -> GeneralTracker | None:
        made: list[GeneralTracker] = []

        def start() -> None:
            tracker = self._make(name)
            tracker.start()
            tracker.store_init_configuration(dict(self._hyperparameters))
            made.append(tracker)

        return made[0] if self._try(name, start) else None

    def _try(self, name: Tracker, action: Any, *arguments: Any) -> bool:
        """Whether it went well. Trackers raise what they like, and none of it may end a training."""
        try:
            action(*arguments)
        except Exception as fault:
            self._tell(name, f"{type(fault).__name__}: {first_line(fault)}")
            return False
        return True

    def _tell(self, tracker: str, reason: str) -> None:
        self._context.log("tracker_failed", level="warning", tracker=tracker, reason=reason)

    def _make(self, name: Tracker) -> GeneralTracker:
        for variable, value in DEFAULTS.items():
            os.environ.setdefault(variable, value)
        context = self._context
        run = f"{context.job_id}-{context.node}-{context.attempt}"
        if name == "tensorboard":
            return TensorBoardTracker(_folder_name(run), logging_dir=self._folder)
        if name == "wandb":
            return WandBTracker(context.pipeline, name=run, dir=str(context.work_dir))
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            raise LookupError("MLFLOW_TRACKING_URI is not set where this worker runs")
        tags = {"job": context.job_id, "node": context.node, "attempt": str(context.attempt)}
        return MLflowTracker(experiment_name=context.pipeline, run_name=run, tags=tags)

    @property
    def _folder(self) -> Path:
        return self._context.work_dir / "tensorboard"


def _log(tracker: GeneralTracker, step: int, metrics: Mapping[str, float]) -> None:
    tracker.log(dict(metrics), step=step)


def flat(hyperparameters: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Return nested hyperparameters as `lora.r` -> 8, what is not a number as text."""
    found: dict[str, bool | int | float | str] = {}
    for name, value in hyperparameters.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value if isinstance(value, bool | int | float) else str(value)
    return found


def _folder_name(run: str) -> str:
    """Return the name of a run as one folder's: the values of a matrix, which stand in it, may be any text."""
    safe = re.sub(r"[^\w.=,\[\]-]", "_", run, flags=re.ASCII)
    if len(safe) <= LONGEST_FOLDER_NAME:
        return safe
    return f"{safe[:LONGEST_FOLDER_NAME]}-{sha256(run.encode(errors='surrogatepass')).hexdigest()[:8]}"
