"""Changes of the champion under load: promoted by the gate, rejected, forced, rolled back.

    python -m benchmarks.promotion [--small] [--connections 4] [--requests-per-s 100]

A whole stack (`tuneline up`) in a folder of its own. While connections ask serving at a steady rate, jobs train real
challengers on the shipped sample: one as good, which the gate promotes, and one that has learned nothing, which it
rejects; that one is then promoted by force, and rolled back. Of every answer the version is kept. Seconds are counted
from the move of the alias, as its audit log has it, to the first answer by the new version. The last line is one JSON
object.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import httpx

from agents.base.errors import TunelineError
from app.cli.jobs import read_spec
from app.client import ApiError, Client
from app.processes.embedded import free_port
from benchmarks._key import HEADERS, KEY
from benchmarks._report import finish, machine, print_table

TEXTS = (
    "You WON a prize! Call 80099 now to claim",
    "see you at six, love",
    "meeting moved to ten",
    "free entry, txt WIN",
)
FORCE_KEY = "only-for-those-who-may"
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Answer:
    """One request of the load: when it was sent and answered, and by which version; None: it failed, and `fault`."""

    sent_at: float
    answered_at: float
    version: int | None
    fault: str = ""


@dataclass
class Load:
    """Connections that ask one after another, at a steady rate, until they are told to stop."""

    url: str
    connections: int
    requests_per_s: float
    answers: list[list[Answer]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _came: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> None:
        for _ in range(self.connections):
            own: list[Answer] = []
            self.answers.append(own)
            self._threads.append(threading.Thread(target=self._ask, args=(own,), daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, wanted: Callable[[list[Answer]], bool]) -> None:
        """Return once this is so of the answers of every connection.

        Raises:
            TimeoutError: it never was.
        """
        with self._came:
            if not self._came.wait_for(lambda: all(wanted(own) for own in self.answers), PATIENCE_S):
                raise TimeoutError(f"Serving answers with {[own[-1:] for own in self.answers]}.")

    def wait_for_version(self, version: int) -> None:
        """Return once every connection was answered by a version."""
        self.wait_for(lambda own: bool(own) and own[-1].version == version)

    def wait_for_more(self, count: int) -> None:
        """Return once every connection has so many answers more than now."""
        wanted = [len(own) + count for own in self.answers]
        self.wait_for(lambda own: len(own) >= wanted[next(i for i, one in enumerate(self.answers) if one is own)])

    def _ask(self, own: list[Answer]) -> None:
        with httpx.Client(timeout=30, headers=HEADERS) as http:
            while not self._stop.wait(self.connections / self.requests_per_s):
                sent_at, version, fault = time.time(), None, ""
                try:
                    response = http.post(self.url, json={"text": TEXTS[len(own) % len(TEXTS)]})
                    version = response.json()["version"] if response.status_code == 200 else None
                    fault = "" if version else response.text
                except httpx.HTTPError as lost:
                    fault = repr(lost)
                with self._came:
                    own.append(Answer(sent_at, time.time(), version, fault))
                    self._came.notify_all()


@dataclass(frozen=True)
class Change:
    """What was done, when it took effect, and what came of it."""

    name: str
    began_at: float
    champion: int
    moved: bool
    alias_moved_at: float | None
    """By the audit log."""
    audit: dict[str, Any]


@dataclass(frozen=True)
class Played:
    """All changes in their order, and every answer by connection."""

    changes: list[Change]
    answers: list[list[Answer]]
    verdicts: dict[int, str]

    @property
    def failed(self) -> list[Answer]:
        return [answer for own in self.answers for answer in own if answer.version is None]

    def versions_seen(self) -> list[list[int | None]]:
        """Return for each connection the versions that answered it, repetitions left out."""
        return [[version for version, _ in groupby(answer.version for answer in own)] for own in self.answers]

    def turned_back(self) -> list[Answer]:
        """Return answers to requests that were sent after a newer version had answered somebody, by an older one."""
        wrong = []
        for one, after in self._periods():
            arrived = [a for a in self._in(one, after) if a.version == one.champion]
            first = min((a.answered_at for a in arrived), default=float("inf"))
            wrong += [a for a in self._in(one, after) if a.sent_at > first and a.version not in (one.champion, None)]
        return wrong

    def rows(self) -> list[dict[str, Any]]:
        """Return a line for each change."""
        return [self._row(one, after) for one, after in self._periods()]

    def _row(self, one: Change, after: float) -> dict[str, Any]:
        found = self._in(one, after)
        switches = [
            sum(
                before.version != later.version
                for before, later in pairwise(own)
                if one.began_at <= later.answered_at < after
            )
            for own in self.answers
        ]
        by_new = [a.answered_at for a in found if a.version == one.champion and a.sent_at >= (one.alias_moved_at or 0)]
        return {
            "change": one.name,
            "champion": one.champion,
            "answers": len(found),
            "failed": sum(a.version is None for a in found),
            "switches": f"{min(switches)} to {max(switches)}" if min(switches) != max(switches) else switches[0],
            "seconds to serving": min(by_new) - one.alias_moved_at if one.alias_moved_at and by_new else None,
        }

    def _in(self, one: Change, after: float) -> list[Answer]:
        return [a for own in self.answers for a in own if one.began_at <= a.answered_at < after]

    def _periods(self) -> Iterator[tuple[Change, float]]:
        ends = [one.began_at for one in self.changes[1:]]
        return zip(self.changes, [*ends, float("inf")], strict=True)


@contextmanager
def stack(folder: Path, data_root: Path, **settings: str) -> Iterator[tuple[Client, str]]:
    """Run `tuneline up` in a folder; give a client for it that may force, and the URL of serving.

    `settings`: further ones, such as `WORKERS="training=2"`.
    """
    api_port, serving_port = free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TUNELINE_")},
        "TUNELINE_STATE_DIR": str(folder),
        "TUNELINE_API_PORT": str(api_port),
        "TUNELINE_SERVING_PORT": str(serving_port),
        "TUNELINE_API_KEY": KEY,
        "TUNELINE_FORCE_KEY": FORCE_KEY,
        "TUNELINE_DATA_ROOTS": str(data_root),
        **{f"TUNELINE_{name}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "app.cli", "up"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        if not any(line.startswith("Next") for line in process.stdout):
            raise RuntimeError("The stack did not start.")
        serving_url = f"http://127.0.0.1:{serving_port}"
        with Client(f"http://127.0.0.1:{api_port}", serving_url, KEY, FORCE_KEY) as client:
            yield client, serving_url
    finally:
        process.terminate()
        process.communicate(timeout=60)


def spam_spec(
    params: Mapping[str, Any], formats: Sequence[str] = ("merged", "onnx"), **training: Any
) -> dict[str, Any]:
    """Return the shipped spec with other values; the gate asks for half of what a good filter has."""
    spec: dict[str, Any] = read_spec("spam")
    spec["params"] |= {"model_name": "spam", "minimum": 0.5, **params}
    spec["nodes"]["training"]["config"] |= training
    spec["nodes"]["evaluation"]["config"] |= {"margin": 0.5}
    spec["nodes"]["export"]["config"]["formats"] = list(formats)
    return spec


def play(
    client: Client,
    serving_url: str,
    make_spec: Callable[..., dict[str, Any]],
    connections: int = 4,
    requests_per_s: float = 100.0,
) -> Played:
    """Make a champion, put serving under load, and change the champion in each of the four ways.

    `make_spec` takes values of the training's config and gives a spec of the model `spam`.
    """
    _run(client, make_spec(seed=1))
    if client.model("spam")["aliases"] != {"champion": 1}:
        raise RuntimeError(f"The first version was not promoted: {client.version('spam', '1')['reasons']}")
    wait_until_served(client, 1)
    load = Load(f"{serving_url}/predict/spam", connections, requests_per_s)
    load.start()
    try:
        load.wait_for_version(1)
        changes = [
            _changed(client, load, "promoted by the gate", lambda: _run(client, make_spec(seed=2))),
            _changed(client, load, "rejected", lambda: _run(client, make_spec(seed=3, learning_rate=1e-9))),
            _changed(client, load, "forced", lambda: client.promote("spam", "3", "the test set is wrong", force=True)),
            _changed(client, load, "rolled back", lambda: client.rollback("spam", "it was not")),
        ]
    finally:
        load.stop()
    verdicts = {version["version"]: version["verdict"] for version in client.model("spam")["versions"]}
    return Played(changes, load.answers, verdicts)


def wait_until_served(client: Client, version: int) -> None:
    """Return once serving has loaded a version.

    Raises:
        TimeoutError: it never did.
    """
    deadline = time.monotonic() + PATIENCE_S
    while client.serving_health()["models"].get("spam") != version:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Serving says {client.serving_health()}.")
        time.sleep(0.1)


def _changed(client: Client, load: Load, name: str, change: Callable[[], object]) -> Change:
    before = client.model("spam")
    began_at = time.time()
    change()
    after = client.model("spam")
    champion, moves = after["aliases"]["champion"], len(after["history"]) - len(before["history"])
    if moves:
        load.wait_for_version(champion)
    # So that a version that came back for a moment would be seen.
    load.wait_for_more(20)
    audit = after["history"][0]
    at = audit["at"] if moves else None
    return Change(name, began_at, champion, before["aliases"]["champion"] != champion, at, audit)


def _run(client: Client, spec: dict[str, Any]) -> None:
    job = client.submit(spec)
    for _ in client.follow(job["id"]):
        pass
    ended = client.job(job["id"])
    if ended["status"] != "completed":
        raise RuntimeError(f"The job {ended['status']}: {[node['error'] for node in ended['nodes'].values()]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="half as many epochs")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--requests-per-s", type=float, default=100.0, help="of all connections together")
    options = parser.parse_args()
    epochs = 4 if options.small else 8
    print(f"{options.connections} connections, {options.requests_per_s:g} requests/s; {machine()}\n")
    with tempfile.TemporaryDirectory() as name, stack(Path(name), Path(name)) as (client, serving_url):
        played = play(
            client,
            serving_url,
            lambda **training: spam_spec({"epochs": epochs}, **training),
            options.connections,
            options.requests_per_s,
        )
    print_table(played.rows())
    print(f"\nverdicts {played.verdicts}, versions by connection {played.versions_seen()}\n")
    figures = {"failed": len(played.failed), "turned_back": len(played.turned_back()), "rows": played.rows()}
    finish("promotion", {**figures, "verdicts": played.verdicts, "epochs": epochs})


if __name__ == "__main__":
    try:
        main()
    except (TunelineError, ApiError) as fault:
        sys.exit(f"error: {fault}")
