"""`tuneline demo`: one run on this machine, from a spec to answers of a served model."""

import os
import tempfile
import threading
import time
from contextlib import chdir
from pathlib import Path

import typer

from agents.base.errors import TunelineError, Unavailable
from app.cli.common import console, print_line
from app.cli.jobs import read_spec, watch
from app.cli.servers import stop_on_signals, tell
from app.client import Client
from app.processes.embedded import free_port
from app.processes.stack import Stack
from app.settings import Settings

MESSAGES = (
    "Running late, start without me. Save me a slice of that pie!",
    "CONGRATS! Your number won our weekly draw. Text CLAIM to 80099 now to get your 500 voucher",
    "Dentist says Thursday 3:15 works, can you drive me there?",
    "Your parcel is held. A small fee is due today: pay at http://parcel-desk.example/fee or it goes back",
    "hey are we still on for football tonight? bring the blue shirts",
)
SERVED_TIMEOUT_S = 60.0


def demo() -> None:
    """Train, promote and serve the spam filter on the shipped sample, then ask it five messages."""
    started_at = time.monotonic()
    # In a folder without a `.env`, which all the processes of the demo would read.
    with tempfile.TemporaryDirectory(prefix="tuneline-demo-") as folder, chdir(folder):
        settings = _settings(Path(folder))
        stop, ready = stop_on_signals(), threading.Event()
        tour = _Tour(settings, ready, stop)
        console.print("Starting servers, API, workers and serving on loopback ...")
        tour.start()
        try:
            Stack(settings, tell).run(stop, ready)
        finally:
            stop.set()
            ready.set()
            tour.join()
    if tour.fault:
        raise tour.fault
    if not tour.arrived:
        raise typer.Exit(1)
    console.print(f"Everything is stopped again. {time.monotonic() - started_at:.0f} s in all.")


class _Tour(threading.Thread):
    """The user's side of the demo, while the stack runs in the main thread."""

    def __init__(self, settings: Settings, ready: threading.Event, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._ready = ready
        self._stop_all = stop
        self.fault: TunelineError | None = None
        self.arrived = False

    def run(self) -> None:
        self._ready.wait()
        try:
            if not self._stop_all.is_set():
                self._go()
        except TunelineError as fault:
            self.fault = None if self._stop_all.is_set() else fault
        finally:
            self._stop_all.set()

    def _go(self) -> None:
        settings = self._settings
        with Client(settings.api_url, settings.serving_url, state_dir=settings.state_dir) as client:
            if watch(client, client.submit(read_spec("spam")), lasting=False)["status"] == "completed":
                _ask(client)
                self.arrived = True


def _settings(folder: Path) -> Settings:
    """Return settings of a separate stack, independent of others on this machine and of this environment."""
    api_port, serving_port = free_port(), free_port()
    values = {
        "TUNELINE_STATE_DIR": str(folder),
        "TUNELINE_API_PORT": str(api_port),
        "TUNELINE_SERVING_PORT": str(serving_port),
        "TUNELINE_API_URL": f"http://127.0.0.1:{api_port}",
        "TUNELINE_SERVING_URL": f"http://127.0.0.1:{serving_port}",
    }
    for name in [name for name in os.environ if name.startswith("TUNELINE_")]:
        del os.environ[name]
    # The API, serving and the workers are processes of their own: they read the same environment.
    os.environ.update(values)
    return Settings()


def _ask(client: Client) -> None:
    deadline = time.monotonic() + SERVED_TIMEOUT_S
    while not client.serving_health().get("models"):
        if time.monotonic() > deadline:
            raise Unavailable(f"Serving did not load the model in {SERVED_TIMEOUT_S:.0f} s.")
        time.sleep(0.2)
    console.print("\nAsking the served model:")
    for text, answer in zip(MESSAGES, client.predict_many("spam", list(MESSAGES)), strict=True):
        print_line(f"  {answer['label']:<5} {answer['confidence']:.3f}  {text}", highlight=False)
    print_line(f"  answered by {answer['model']} v{answer['version']}")
    console.print()
