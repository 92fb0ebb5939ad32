"""`tuneline up`: everything on one host, from one command, started, watched and stopped together."""

import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agents.base.errors import Conflict, Unavailable
from app.http import listen
from app.processes.backoff import Backoff
from app.processes.embedded import USER, free_port, http_answers, launch_s3, launch_valkey
from app.processes.fleet import Fleet
from app.processes.part import Part
from app.processes.server import Server, launch, rotate
from app.settings import Settings
from app.stack_file import stack_file
from app.state_folder import make_private
from app.wiring import Parts, build_parts
from pipelines.engine.process_log import log_into
from tuneline_start import start_command

#: How soon the end of a part is noticed.
LOOK_EVERY_S = 0.2
SECRET_BYTES = 32
#: Tells a user something in one sentence.
Say = Callable[[str], None]


class Interrupted(Exception):
    """The user wants it to end while it is still starting."""


@dataclass(frozen=True)
class Secrets:
    """What the embedded servers of one start ask for; in `stack.json`, which its user alone may read."""

    redis_password: str
    s3_access_key: str
    s3_secret_key: str

    @classmethod
    def make(cls, settings: Settings) -> "Secrets":
        """Return new ones; keys of the object store that the settings have are kept."""
        password = secrets.token_hex(SECRET_BYTES)
        if settings.s3_access_key and settings.s3_secret_key:
            return cls(password, settings.s3_access_key, settings.s3_secret_key.get_secret_value())
        return cls(password, secrets.token_hex(SECRET_BYTES // 2), secrets.token_hex(SECRET_BYTES))


class Stack:
    """The embedded servers (where no URL names others), the API, serving and the workers of this host."""

    def __init__(self, settings: Settings, say: Say) -> None:
        """`say` is given each sentence for the user at its terminal."""
        self.settings = settings
        self._say = say
        self._folder = settings.state_dir.resolve()
        self._log_file = self._folder / "up.log"
        self._log = log_into(self._log_file)
        self._stores: list[Part] = []
        self._services: list[Part] = []
        self._listeners: dict[str, socket.socket] = {}

    def run(self, stop: threading.Event, ready: threading.Event) -> None:
        """Start everything, set `ready`, start again what ends, and stop everything once `stop` is set.

        Raises:
            Conflict: another one runs in this state folder, or a port is taken.
            Unavailable: a part did not start, or an embedded server was given up.
        """
        with suppress(Interrupted), ExitStack() as exits:
            exits.enter_context(_only_one(self.settings.state_dir))
            # Before anything is started: a port that is taken ends it here, and what answers there later is ours.
            self._listen(exits)
            exits.callback(self._stop_parts)
            self._start_stores(stop)
            parts = build_parts(self.settings)
            parts.check()
            self._start_services()
            fleet = threading.Thread(target=self._keep_fleet, args=(parts, stop), name="fleet")
            fleet.start()
            # Registered after the servers, so it runs before they go: workers still have to report.
            exits.callback(fleet.join)
            exits.callback(stop.set)
            _wait_until_ready(self._services, stop)
            ready.set()
            self._watch(stop)

    def _listen(self, exits: ExitStack) -> None:
        settings = self.settings
        for command, host, port, prefix in (
            ("api", settings.api_host, settings.api_port, "TUNELINE_API"),
            ("serve", settings.serving_host, settings.serving_port, "TUNELINE_SERVING"),
        ):
            self._listeners[command] = exits.enter_context(listen(host, port, prefix))

    def _start_stores(self, stop: threading.Event) -> None:
        """Start the embedded servers and write down where they are; started again they keep port and secrets."""
        settings, made = self.settings, Secrets.make(self.settings)
        redis_url, s3_url = settings.redis_url, settings.s3_endpoint_url
        if redis_url is None:
            port = free_port()
            redis_url = f"redis://{USER}:{made.redis_password}@127.0.0.1:{port}"
            self._start_store("Valkey", lambda: launch_valkey(self._folder / "valkey", port, made.redis_password))
        if s3_url is None:
            s3_port = free_port()
            s3_url = f"http://127.0.0.1:{s3_port}"
            keys = made.s3_access_key, made.s3_secret_key
            self._start_store("The S3 server", lambda: launch_s3(self._folder / "s3", *keys, s3_port))
        _wait_until_ready(self._stores, stop)
        found = {"redis_url": redis_url, "s3_endpoint_url": s3_url, "pid": os.getpid()}
        keys_found = {"s3_access_key": made.s3_access_key, "s3_secret_key": made.s3_secret_key}
        write_private(stack_file(settings), json.dumps({**found, **keys_found}))

    def _start_store(self, name: str, start: Callable[[], Server]) -> None:
        part = Part(name, start, self._report)
        self._stores.append(part)
        part.start()

    def _start_services(self) -> None:
        """Start the API and serving, on sockets that stay open while they are started again: callers wait so long."""
        for name, command, host in (
            ("The API", "api", self.settings.api_host),
            ("Serving", "serve", self.settings.serving_host),
        ):
            part = Part(name, partial(self._launch_service, name, command, host), self._report)
            self._services.append(part)
            part.start()

    def _launch_service(self, name: str, command: str, host: str) -> Server:
        listener = self._listeners[command]
        port, number = listener.getsockname()[1], listener.fileno()
        line = [*start_command(command), "--socket", str(number)]
        return launch(name, line, self._folder / command, port, lambda: http_answers(port, host), pass_fds=[number])

    def _watch(self, stop: threading.Event) -> None:
        """Look after the parts until `stop` is set.

        Raises:
            Unavailable: an embedded server was given up, and nothing works without it.
        """
        while not stop.wait(LOOK_EVERY_S):
            for store in self._stores:
                store.look(may_start=True)
                if store.given_up:
                    raise Unavailable(
                        f"{store.name} ends again and again, and nothing works without it.",
                        cure=f"See the log of it, {self._log_file}, and `tuneline doctor`.",
                    )
            stores_run = all(store.ready for store in self._stores)
            for service, listener in zip(self._services, self._listeners.values(), strict=True):
                service.look(may_start=stores_run)
                if service.given_up:
                    # The rest goes on: a training is worth more. Callers are refused instead of kept waiting.
                    listener.close()
            for part in (*self._stores, *self._services):
                part.rotate_log()
            rotate(self._log_file)

    def _keep_fleet(self, parts: Parts, stop: threading.Event) -> None:
        """Run the fleet of workers until `stop` is set, also past a fault that nobody foresaw."""
        backoff = Backoff()
        while not stop.is_set():
            started_at = time.monotonic()
            try:
                Fleet(parts, self.settings.workers).run(stop)
            except Exception as fault:
                wait_s = backoff.ended(time.monotonic() - started_at)
                self._log.error("fleet_ended", exc_info=fault, again_in_s=wait_s)
                self._say(f"The fleet of workers ended ({fault}); it is started again. The log: {self._log_file}.")
                stop.wait(wait_s)

    def _report(self, event: str, sentence: str, **fields: Any) -> None:
        (self._log.info if event == "part_runs_again" else self._log.warning)(event, **fields)
        self._say(sentence)

    def _stop_parts(self) -> None:
        for part in (*reversed(self._services), *reversed(self._stores)):
            part.stop()
        stack_file(self.settings).unlink(missing_ok=True)


def _wait_until_ready(parts: list[Part], stop: threading.Event) -> None:
    """Return once all parts answer.

    Raises:
        Unavailable: one does not start.
        Interrupted: `stop` was set.
    """
    for part in parts:
        while not part.is_ready():
            if stop.wait(0.02):
                raise Interrupted
    if stop.is_set():
        raise Interrupted


def write_private(path: Path, text: str) -> None:
    """Write a file, whole or not at all, that only its owner may read."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    scratch.replace(path)


@contextmanager
def _only_one(state_dir: Path) -> Iterator[None]:
    """Hold the state folder, so that a second `tuneline up` in it is refused."""
    make_private(state_dir)
    with (state_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(
                f"Another `tuneline up` already keeps its state in {state_dir.resolve()}.",
                cure="Use that one, stop it, or set TUNELINE_STATE_DIR.",
            ) from None
        yield
