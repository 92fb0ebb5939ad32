"""Reconciling: the versions that aliases want, beside those that are loaded. Load beside, warm up, switch, drop."""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog
from redis import RedisError

from agents.base.contract import Artifact
from agents.base.errors import InvalidModel, NotFound, TunelineError
from agents.base.objects import ObjectStore
from agents.classifier import LoadedClassifier, fetch, load_merged

log = structlog.get_logger()
LOOK_EVERY_S = 0.5
RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
WARM_UP_TEXTS = ["", "warm", "a somewhat longer text, so that every size has been seen once " * 4]


class Versions(Protocol):
    """What serving wants to know of the registry."""

    def names(self) -> list[str]: ...

    def aliases(self, model: str) -> dict[str, int]: ...

    def manifest(self, model: str, version: int) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Served:
    """A version in memory, warm."""

    name: str
    version: int
    classifier: LoadedClassifier


@dataclass
class _Trouble:
    version: int
    message: str
    next_try_at: float
    wait_s: float


@dataclass
class Reconciler:
    """Keeps `served` at what the `champion` aliases point at. A version that can't be loaded changes nothing."""

    versions: Versions
    objects: ObjectStore
    cache_dir: Path
    load: Callable[[Path, list[str], int], LoadedClassifier] = load_merged
    served: dict[str, Served] = field(default_factory=dict)
    on_switch: Callable[[Served], None] = lambda _: None
    _troubles: dict[str, _Trouble] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Follow the aliases until `stop` is set."""
        while True:
            try:
                self.follow()
            except (RedisError, TunelineError) as fault:
                # What is served goes on being served while Redis or the store is away.
                log.warning("aliases_unreadable", message=str(fault))
            if stop.wait(LOOK_EVERY_S):
                return

    def follow(self) -> None:
        """Look at the aliases once and load, switch and drop what has changed."""
        wanted = {name: self.versions.aliases(name).get("champion") for name in self.versions.names()}
        for name, version in wanted.items():
            held = self.served.get(name)
            if version is not None and (held is None or held.version != version):
                self._switch(name, version)
        for name in [name for name in self.served if wanted.get(name) is None]:
            del self.served[name]

    def find(self, name: str) -> Served:
        """Return the served version of a model.

        Raises:
            NotFound: it is not served; the message names those that are.
        """
        held = self.served.get(name)
        if held is None:
            trouble = self._troubles.get(name)
            why = f" Version {trouble.version} can't be loaded: {trouble.message}" if trouble else ""
            names = ", ".join(sorted(self.served)) or "none yet; promote one with `tuneline run spam`"
            raise NotFound(f"No model '{name}' is served.{why}", cure=f"Served: {names}.")
        return held

    def troubles(self) -> dict[str, str]:
        """Return what can't be loaded: model -> why."""
        return {name: f"version {t.version}: {t.message}" for name, t in self._troubles.items()}

    def _switch(self, name: str, version: int) -> None:
        trouble = self._troubles.get(name)
        if trouble and trouble.version == version and time.monotonic() < trouble.next_try_at:
            return
        try:
            fresh = self._loaded(name, version)
        except (TunelineError, RedisError) as fault:
            wait_s = min(RETRY_MOST_S, trouble.wait_s * 2) if trouble else RETRY_FIRST_S
            self._troubles[name] = _Trouble(version, str(fault), time.monotonic() + wait_s, wait_s)
            log.error("version_not_loaded", model=name, version=version, message=str(fault))
            return
        # One assignment: a request has either the old version or the new one, and keeps what it has.
        self.served[name] = fresh
        self._troubles.pop(name, None)
        log.info("version_served", model=name, version=version)
        self.on_switch(fresh)

    def _loaded(self, name: str, version: int) -> Served:
        manifest = self.versions.manifest(name, version)
        files = {
            file["path"]: Artifact.model_validate(file["artifact"]) for file in manifest["formats"].get("merged", [])
        }
        if not files:
            raise InvalidModel(
                f"Version {version} of '{name}' has no 'merged' format, which serving loads.",
                cure="Add 'merged' to the export's formats.",
            )
        classifier = self.load(self._folder(name, version, files), manifest["labels"], manifest["max_tokens"])
        for text in WARM_UP_TEXTS:
            classifier.predict([text])
        return Served(name, version, classifier)

    def _folder(self, name: str, version: int, files: dict[str, Artifact]) -> Path:
        """Return a folder with a version's files, fetched once and checked; it appears whole or not at all."""
        digest = max(files.values(), key=lambda artifact: artifact.size_bytes).sha256[:12]
        folder = self.cache_dir / f"{name}-{version}-{digest}"
        if not folder.is_dir():
            scratch = folder.with_suffix(".partial")
            shutil.rmtree(scratch, ignore_errors=True)
            fetch(self.objects, files, scratch).rename(folder)
        return folder
