"""The Context given to an agent: inputs in, log records and progress out through one `emit`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.base.errors import StopKind, StopRequested
from agents.base.object_store import ObjectStore
from agents.base.records import Follower, Input
from agents.base.sources import Sources
from agents.base.strict_json import finite_number
from pipelines.engine.state.log_records import log_record, progress_record

Emit = Callable[[dict[str, Any]], None]
WantedStop = Callable[[], StopKind | None]
#: Least time between two progress records that say nothing but how far the node is.
PROGRESS_INTERVAL_S = 0.2


@dataclass
class AttemptContext:
    """See `agents.base.agent.Context`.

    `emit` takes one JSON record: `{"kind": "log" | "progress", ...}`. `wanted_stop` is asked for a
    cancel or a pause; `stops_at_once`: light agents stop at their next word, training at a checkpoint.
    """

    job_id: str
    pipeline: str
    node: str
    attempt: int
    inputs: tuple[Input, ...]
    objects: ObjectStore
    sources: Sources
    work_path: Path
    emit: Emit
    wanted_stop: WantedStop = lambda: None
    stops_at_once: bool = True
    checkpoint_prefixes: tuple[str, ...] = ()
    champion: Mapping[str, Any] | None = None
    version: int | None = None
    attempt_notes: Mapping[str, Any] = field(default_factory=dict)
    device_mib: int | None = None
    followers: tuple[Follower, ...] = ()
    _started_at: float = field(default_factory=time.monotonic)
    _first_done: float | None = None
    _last_progress_at: float = 0.0

    @property
    def work_dir(self) -> Path:
        """An empty folder of this attempt's own, made when it is first asked for."""
        self.work_path.mkdir(parents=True, exist_ok=True)
        return self.work_path

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        self._stop_if_wanted()
        self.emit(log_record(event, level, fields))

    def progress(self, done: float, total: float, **fields: Any) -> None:
        self._stop_if_wanted()
        now = time.monotonic()
        if finite_number(done) is None or finite_number(total) is None:
            # The record says so.
            self.emit(progress_record(done, total, None, fields))
            return
        if self._first_done is None:
            # A resumed node starts above 0: the ETA counts only what this attempt did.
            self._first_done, self._started_at = done, now
        if not fields and done < total and now - self._last_progress_at < PROGRESS_INTERVAL_S:
            return
        self._last_progress_at = now
        self.emit(progress_record(done, total, self._eta_s(done, total, now), fields))

    def stop_requested(self) -> StopKind | None:
        return self.wanted_stop()

    def _eta_s(self, done: float, total: float, now: float) -> float | None:
        gained = done - (self._first_done or 0.0)
        return round((float(total) - done) * (now - self._started_at) / gained, 1) if gained > 0 else None

    def _stop_if_wanted(self) -> None:
        if self.stops_at_once and (kind := self.wanted_stop()):
            raise StopRequested(kind)
