"""`tuneline up`: everything on one host, from one command, started and stopped together."""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agents.base.errors import Conflict
from app.processes.embedded import http_answers, start_s3, start_valkey
from app.processes.fleet import Fleet
from app.processes.server import Server, launch
from app.settings import Settings
from app.state_folder import make_private
from app.wiring import build_parts, stack_file
from tuneline_start import start_command


class Stack:
    """The embedded servers (where no URL names others), the API, serving and the workers of this host."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.servers: list[Server] = []

    def run(self, stop: threading.Event, ready: threading.Event) -> None:
        """Start everything, set `ready`, and stop everything again once `stop` is set.

        Raises:
            Conflict: another one runs in this state folder, or a port is taken.
            Unavailable: a part did not start.
        """
        with ExitStack() as exits:
            exits.enter_context(_only_one(self.settings.state_dir))
            exits.callback(self._stop_servers)
            self._start_stores()
            parts = build_parts(self.settings)
            parts.check()
            parts_of_ours = [
                self._launch("API", "api", self.settings.api_port),
                self._launch("Serving", "serve", self.settings.serving_port),
            ]
            fleet = threading.Thread(target=Fleet(parts, self.settings.workers).run, args=(stop,), name="fleet")
            fleet.start()
            # Registered after the servers, so it runs before they go: workers still have to report.
            exits.callback(fleet.join)
            exits.callback(stop.set)
            for part in parts_of_ours:
                part.wait_until_ready()
            ready.set()
            stop.wait()

    def _start_stores(self) -> None:
        settings = self.settings
        folder = settings.state_dir.resolve()
        addresses = {"redis_url": settings.redis_url, "s3_endpoint_url": settings.s3_endpoint_url}
        if settings.redis_url is None:
            valkey = self._keep(start_valkey(folder / "valkey"))
            addresses["redis_url"] = f"redis://127.0.0.1:{valkey.port}"
        if settings.s3_endpoint_url is None:
            secret = settings.s3_secret_key.get_secret_value()
            s3 = self._keep(start_s3(folder / "s3", settings.s3_access_key, secret))
            addresses["s3_endpoint_url"] = f"http://127.0.0.1:{s3.port}"
        stack_file(settings).write_text(json.dumps({**addresses, "pid": os.getpid()}))

    def _launch(self, name: str, command: str, port: int) -> Server:
        if http_answers(port):
            raise Conflict(
                f"Port {port}, which {name} wants, is taken.",
                cure=f"Stop what uses it, or set TUNELINE_{'API' if command == 'api' else 'SERVING'}_PORT.",
            )
        folder = self.settings.state_dir.resolve() / command
        return self._keep(launch(name, start_command(command), folder, port, lambda: http_answers(port)))

    def _keep(self, server: Server) -> Server:
        self.servers.append(server)
        return server

    def _stop_servers(self) -> None:
        for server in reversed(self.servers):
            server.stop()
        stack_file(self.settings).unlink(missing_ok=True)


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
