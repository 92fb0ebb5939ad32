"""Reconciling: the versions that aliases want, beside those that are loaded. Load beside, warm up, switch, drop."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from logging import ERROR, INFO

import structlog
from redis import RedisError

from agents.base.errors import InvalidModel, NotFound
from agents.tasks import TASKS
from app.serving.versions.files import sweep
from app.serving.versions.loading import Loader
from app.serving.versions.served import Served, Versions
from app.serving.watch.drift import DriftWindow, read_reference
from pipelines.engine.state.redis_faults import redis_error

log = structlog.get_logger()
LOOK_EVERY_S = 0.5
RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0


@dataclass(frozen=True)
class _LoadFailure:
    version: int
    message: str
    next_try_at: float
    wait_s: float
    is_unserved_task: bool = False


class _UnservedTask(InvalidModel):
    """A whole version of a model of a task that serving doesn't know."""


@dataclass
class Reconciler:
    """Keeps `served` at what the `champion` aliases point at.

    Nothing but a newer version that is loaded and warm replaces what is served: not a version that can't be loaded,
    not a Redis that is away, and not one that came back empty.
    """

    versions: Versions
    loader: Loader
    look_every_s: float = LOOK_EVERY_S
    retry_first_s: float = RETRY_FIRST_S
    drift_window: int = 1000
    on_switch: Callable[[Served], None] = lambda _: None
    served: dict[str, Served] = field(default_factory=dict)
    _failures: dict[str, _LoadFailure] = field(default_factory=dict)
    _without_champion: set[str] = field(default_factory=set)
    _unreadable: str | None = None

    def run(self, stop: threading.Event) -> None:
        """Follow the aliases until `stop` is set."""
        while True:
            self.follow()
            if stop.wait(self.look_every_s):
                return

    def follow(self) -> None:
        """Read the aliases once, then load and switch what has changed; what went wrong shows in `troubles`."""
        try:
            wanted = {name: self.versions.aliases(name) for name in self.versions.names()}
        except Exception as fault:
            # The thread must outlive whatever Redis answers: what is served goes on being served.
            message = str(redis_error(fault) if isinstance(fault, RedisError) else fault)
            if self._unreadable is None:
                log.warning("aliases_unreadable", message=message)
            self._unreadable = f"The aliases can't be read: {message}"
            return
        self._unreadable = None
        self._without_champion = {name for name in self.served if "champion" not in wanted.get(name, {})}
        for name, aliases in wanted.items():
            self._follow_alias(name, aliases)

    def find(self, name: str) -> Served:
        """Return the served version of a model.

        Raises:
            NotFound: it is not served; the message names those that are.
        """
        held = self.served.get(name)
        if held is None:
            failure = self._failures.get(name)
            why = f" Version {failure.version} can't be loaded: {failure.message}" if failure else ""
            names = ", ".join(sorted(self.served)) or "none yet; promote one with `tuneline run spam`"
            raise NotFound(f"No model '{name}' is served.{why}", cure=f"Served: {names}.")
        return held

    def all_served(self) -> list[Served]:
        """Return what is served, by name; a copy, since another version may be switched to at any time."""
        return [served for _, served in sorted(self.served.copy().items())]

    def troubles(self) -> dict[str, str]:
        """Return what is wrong: a model, or `registry`, -> why."""
        found = {
            name: f"version {failure.version}: {failure.message}"
            for name, failure in self._failures.copy().items()
            # Serving ignores models of other tasks, unless one takes the place of a model that is served.
            if name in self.served or not failure.is_unserved_task
        }
        for name in self._without_champion:
            found[name] = f"no champion alias is left; version {self.served[name].version} goes on being served."
        return found | ({"registry": self._unreadable} if self._unreadable else {})

    def _follow_alias(self, name: str, aliases: dict[str, int]) -> None:
        version, held, failure = aliases.get("champion"), self.served.get(name), self._failures.get(name)
        if version is None or (held is not None and held.version == version):
            self._failures.pop(name, None)
            return
        if failure and failure.version != version:
            failure = None
        if failure and time.monotonic() < failure.next_try_at:
            return
        try:
            fresh = self._loaded(name, version)
        except Exception as fault:
            # A model's files can fail in any way; none may end the thread or what is served.
            wait_s = min(RETRY_MOST_S, failure.wait_s * 2) if failure else self.retry_first_s
            message = str(fault) or type(fault).__name__
            other = isinstance(fault, _UnservedTask)
            self._failures[name] = _LoadFailure(version, message, time.monotonic() + wait_s, wait_s, other)
            log.log(INFO if other else ERROR, "version_not_loaded", model=name, version=version, message=message)
            return
        # One assignment: a request has either the old version or the new one, and keeps what it has.
        self.served[name] = fresh
        self._failures.pop(name, None)
        log.info("version_served", model=name, version=version, format=fresh.format)
        sweep(self.loader.cache_dir, name, keep=set(aliases.values()))
        self.on_switch(fresh)

    def _loaded(self, name: str, version: int) -> Served:
        manifest = self.versions.manifest(name, version)
        task = TASKS.get(manifest.task)
        if task is None:
            raise _UnservedTask(f"It is of task '{manifest.task}', which is not served.")
        form, model = self.loader.load_version(manifest)
        reference = read_reference(manifest)
        return Served(
            name,
            version,
            form.name,
            task.kind,
            model,
            datetime.now(UTC),
            manifest.answer_schema,
            clean=manifest.prompt.clean if manifest.prompt else True,
            drift=DriftWindow(reference, self.drift_window) if reference else None,
            unsure_below=manifest.calibration.unsure_below if manifest.calibration else None,
        )
