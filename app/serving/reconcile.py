"""Reconciling: the versions that aliases want, beside those that are loaded. Load beside, warm up, switch, drop."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from logging import ERROR, INFO
from pathlib import Path
from typing import Any, Protocol, cast

import structlog

from agents.base.errors import InvalidModel, InvalidRequest, NotFound
from agents.base.object_store import ObjectStore
from agents.models.base_cache import SharedBases
from agents.models.classifiers.base import Classifier
from agents.models.classifiers.exported import load_exported
from agents.models.generators.base import Generator
from app.serving.adapters import choose_loadable
from app.serving.decoders import answer_schema_of, load_decoder_version
from app.serving.drift import DriftWindow, read_reference
from app.serving.files import model_folder, sweep
from app.serving.formats import CPU_DECODER_FORMATS, CPU_FORMATS

log = structlog.get_logger()
LOOK_EVERY_S = 0.5
RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
WARM_UP_TEXTS = ["", "warm", "a somewhat longer text, so that every size has been seen once " * 4]

Load = Callable[[Path, list[str], int], Classifier]


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
    format: str
    model: Classifier | Generator
    loaded_at: datetime
    answer_schema: str | None = None
    """Of a decoder: the JSON schema of its answers; None where they are no JSON objects."""
    clean: bool = True
    """Whether the prompts it learned were cleaned."""

    @property
    def is_decoder(self) -> bool:
        return hasattr(self.model, "generate")

    @property
    def classifier(self) -> Classifier:
        """Raises InvalidRequest where it is a decoder."""
        if self.is_decoder:
            raise InvalidRequest(
                f"'{self.name}' writes text and has no labels.",
                cure="Ask it by POST /v1/chat/completions, or by POST /convert where its answers are JSON.",
            )
        return cast(Classifier, self.model)

    @property
    def generator(self) -> Generator:
        """Raises InvalidRequest where it is a classifier."""
        if not self.is_decoder:
            raise InvalidRequest(
                f"'{self.name}' is a classifier and writes no text.", cure=f"Ask it by POST /predict/{self.name}."
            )
        return cast(Generator, self.model)

    drift: DriftWindow | None = None
    """None of a version that was judged without a reference."""


@dataclass(frozen=True)
class _Trouble:
    version: int
    message: str
    next_try_at: float
    wait_s: float
    is_other_task: bool = False


class _OtherTask(InvalidModel):
    """A whole version of a model of a task that serving doesn't know."""


@dataclass
class Reconciler:
    """Keeps `served` at what the `champion` aliases point at.

    Nothing but a newer version that is loaded and warm replaces what is served: not a version that can't be loaded,
    not a Redis that is away, and not one that came back empty.
    """

    versions: Versions
    objects: ObjectStore
    cache_dir: Path
    bases: SharedBases
    load: Load = load_exported
    formats: Sequence[str] = CPU_FORMATS
    look_every_s: float = LOOK_EVERY_S
    decoder_formats: Sequence[str] = CPU_DECODER_FORMATS
    retry_first_s: float = RETRY_FIRST_S
    drift_window: int = 1000
    on_switch: Callable[[Served], None] = lambda _: None
    served: dict[str, Served] = field(default_factory=dict)
    _troubles: dict[str, _Trouble] = field(default_factory=dict)
    _without_champion: set[str] = field(default_factory=set)
    _unreadable: str | None = None

    def run(self, stop: threading.Event) -> None:
        """Follow the aliases until `stop` is set."""
        while True:
            self.follow()
            if stop.wait(self.look_every_s):
                return

    def follow(self) -> None:
        """Look at the aliases once and load and switch what has changed; what went wrong shows in `troubles`."""
        try:
            wanted = {name: self.versions.aliases(name) for name in self.versions.names()}
        except Exception as fault:
            # The thread must outlive whatever Redis answers: what is served goes on being served.
            if self._unreadable is None:
                log.warning("aliases_unreadable", message=str(fault))
            self._unreadable = f"The aliases can't be read: {fault}"
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
            trouble = self._troubles.get(name)
            why = f" Version {trouble.version} can't be loaded: {trouble.message}" if trouble else ""
            names = ", ".join(sorted(self.served)) or "none yet; promote one with `tuneline run spam`"
            raise NotFound(f"No model '{name}' is served.{why}", cure=f"Served: {names}.")
        return held

    def troubles(self) -> dict[str, str]:
        """Return what is wrong: a model, or `registry`, -> why."""
        found = {
            name: f"version {trouble.version}: {trouble.message}"
            for name, trouble in self._troubles.copy().items()
            # A model of another task is none of serving's business, unless it takes the place of one that is served.
            if name in self.served or not trouble.is_other_task
        }
        for name in self._without_champion:
            found[name] = f"no champion alias is left; version {self.served[name].version} goes on being served."
        return found | ({"registry": self._unreadable} if self._unreadable else {})

    def _follow_alias(self, name: str, aliases: dict[str, int]) -> None:
        version, held, trouble = aliases.get("champion"), self.served.get(name), self._troubles.get(name)
        if version is None or (held is not None and held.version == version):
            self._troubles.pop(name, None)
            return
        if trouble and trouble.version != version:
            trouble = None
        if trouble and time.monotonic() < trouble.next_try_at:
            return
        try:
            fresh = self._loaded(name, version)
        except Exception as fault:
            # Of a model's files anything can be expected; none of it may end the thread or what is served.
            wait_s = min(RETRY_MOST_S, trouble.wait_s * 2) if trouble else self.retry_first_s
            message = str(fault) or type(fault).__name__
            other = isinstance(fault, _OtherTask)
            self._troubles[name] = _Trouble(version, message, time.monotonic() + wait_s, wait_s, other)
            log.log(INFO if other else ERROR, "version_not_loaded", model=name, version=version, message=message)
            return
        # One assignment: a request has either the old version or the new one, and keeps what it has.
        self.served[name] = fresh
        self._troubles.pop(name, None)
        log.info("version_served", model=name, version=version, format=fresh.format)
        sweep(self.cache_dir, name, keep=set(aliases.values()))
        self.on_switch(fresh)

    def _loaded(self, name: str, version: int) -> Served:
        manifest = self.versions.manifest(name, version)
        if (task := manifest.get("task", "classification")) == "sft":
            return self._loaded_decoder(name, version, manifest)
        if task != "classification":
            raise _OtherTask(f"It is of task '{task}', which is not served.")
        form, files, base = choose_loadable(manifest, self.formats, self.bases)
        folder = model_folder(self.objects, self.cache_dir, name, version, files)
        labels, max_tokens = manifest["labels"], manifest["max_tokens"]
        load = partial(load_exported, base=base) if base is not None else self.load
        classifier = load(folder, labels, max_tokens)
        for text in WARM_UP_TEXTS:
            if not math.isfinite(classifier.predict([text])[0].confidence):
                raise InvalidModel(f"Version {version} of '{name}' gives no numbers: its weights are damaged.")
        reference = read_reference(manifest)
        drift = DriftWindow(reference, self.drift_window) if reference else None
        return Served(name, version, form, classifier, datetime.now(UTC), drift=drift)

    def _loaded_decoder(self, name: str, version: int, manifest: dict[str, Any]) -> Served:
        form, model = load_decoder_version(manifest, self.objects, self.cache_dir, self.decoder_formats, self.bases)
        clean = manifest["prompt"].get("clean", True)
        return Served(name, version, form, model, datetime.now(UTC), answer_schema_of(manifest), clean)
