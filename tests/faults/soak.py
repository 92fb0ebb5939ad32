"""A soak: processes of every kind are killed at random while jobs run; at the end nothing may be lost or doubled.

    python -m tests.faults.soak --minutes 15 --seed 1

Hosts are `tuneline worker` fleets; a killed process is started again by this program, as an init system would.
What happens when differs between runs of one seed, since processes race; whom it strikes in which order does not.
"""

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from agents.base.errors import TunelineError, Unavailable
from app.client import ApiError, Client
from app.processes.embedded import free_port
from app.processes.server import Server
from pipelines.engine.state.queue import ListeningWorker
from tests.faults.conftest import pipeline, write_inputs
from tests.faults.farm import Farm, farm, log_of
from tests.faults.soundness import assert_left_nothing, assert_log_whole
from tests.support.agents import NAMES, TEST_AGENTS, echo

JOBS_AT_ONCE = 20
HOSTS = 2
STRIKE_EVERY_S = (1.0, 6.0)
#: How often each kind is struck, as a share.
KINDS = {"agent": 6, "worker": 4, "below": 4, "fleet": 2, "forkserver": 1, "api": 2, "valkey": 1, "s3": 1}
#: A node that is hit again and again must not be given up by its own dials.
RETRIES = 20


@dataclass
class Soak:
    """Everything that runs, and what was done to it."""

    farm: Farm
    dice: random.Random
    port: int = field(default_factory=free_port)
    hosts: list[subprocess.Popen[bytes]] = field(default_factory=list)
    api: Server | None = None
    jobs: dict[str, str] = field(default_factory=dict)
    """Job id -> its `Idempotency-Key`."""
    ended: dict[str, str] = field(default_factory=dict)
    strikes: Counter[str] = field(default_factory=Counter)

    @property
    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port}")

    # -- keeping it running --------------------------------------------------------------------

    def keep_up(self) -> None:
        """Start again what was killed."""
        self.hosts = [host for host in self.hosts if host.poll() is None]
        while len(self.hosts) < HOSTS:
            log = (self.farm.folder / "hosts.log").open("ab")
            command = [sys.executable, "-m", "app.cli", "worker", "--count", "1"]
            self.hosts.append(subprocess.Popen(command, stdout=log, stderr=log))
            log.close()
        if self.api is None or self.api.process.poll() is not None:
            with contextlib.suppress(Unavailable):
                # Not while a server that it looks for at its start is away: then at the next look.
                self.api = self.farm.start_api(self.port)

    def submit(self) -> None:
        """Keep so many jobs unfinished; each is submitted until it is taken, now and then once more."""
        for job_id in self.jobs:
            if job_id not in self.ended:
                with contextlib.suppress(Exception):
                    status = self.farm.parts.state.head(job_id).status
                    if status in {"completed", "failed", "cancelled"}:
                        self.ended[job_id] = status
        while len(self.jobs) - len(self.ended) < JOBS_AT_ONCE:
            number = len(self.jobs)
            key = f"soak-{number}"
            try:
                job_id = self.client.submit(self._spec(number), idempotency_key=key)["id"]
                if self.dice.random() < 0.2:
                    assert self.client.submit(self._spec(number), idempotency_key=key)["id"] == job_id
            except (TunelineError, ApiError):
                return
            self.jobs[job_id] = key

    def _spec(self, number: int) -> dict[str, Any]:
        if number % 4 == 0:
            spec = pipeline(self.farm.folder, f"soak-{number}")
        else:
            middle = [f"n{index}" for index in range(6)]
            nodes = {"root": echo(), **{name: echo("root") for name in middle}, "join": echo(*middle)}
            nodes["version"] = {"agent": "version", "needs": ["join"], "config": {"say": str(number)}}
            spec = {"name": f"fan-{number}", "nodes": {name: {**node, "cache": False} for name, node in nodes.items()}}
        for node in spec["nodes"].values():
            node["retries"] = RETRIES
        return spec

    # -- striking ------------------------------------------------------------------------------

    def strike(self) -> None:
        """Kill one process of a random kind."""
        kind = self.dice.choices(list(KINDS), weights=list(KINDS.values()))[0]
        if kind == "valkey":
            self.farm.restart_valkey(away_s=self.dice.uniform(0, 3))
        elif kind == "s3":
            self.farm.restart_s3(away_s=self.dice.uniform(0, 3))
        else:
            victims = self._processes(kind)
            if not victims:
                return
            with contextlib.suppress(psutil.NoSuchProcess):
                self.dice.choice(victims).kill()
        self.strikes[kind] += 1

    def _processes(self, kind: str) -> list[psutil.Process]:
        if kind == "api":
            return [psutil.Process(self.api.process.pid)] if self.api else []
        if kind == "fleet":
            return [psutil.Process(host.pid) for host in self.hosts]
        servers = [child for host in self.hosts for child in _children(host.pid) if _children(child.pid)]
        if kind == "forkserver":
            return servers
        workers = {int(worker.name.rpartition("-")[2]) for worker in self._workers()}
        below = [child for server in servers for child in _children(server.pid)]
        if kind == "below":
            # The process under a worker's supervisor, which runs what is light.
            return [child for process in below if process.pid in workers for child in _children(process.pid)]
        return [process for process in below if (process.pid in workers) == (kind == "worker")]

    def _workers(self) -> list[ListeningWorker]:
        with contextlib.suppress(Exception):
            return self.farm.parts.state.queues.workers()
        return []

    # -- the end -------------------------------------------------------------------------------

    def drain(self, patience_s: float) -> None:
        """Strike no more; let all jobs end."""
        deadline = time.monotonic() + patience_s
        while len(self.ended) < len(self.jobs) and time.monotonic() < deadline:
            self.keep_up()
            for job_id in self.jobs.keys() - self.ended.keys():
                status = self.farm.parts.state.head(job_id).status
                if status in {"completed", "failed", "cancelled"}:
                    self.ended[job_id] = status
            time.sleep(0.2)

    def faults(self) -> list[str]:
        """Return everything that is not as it must be."""
        found = [
            f"{job_id} is {self.ended.get(job_id, 'lost')}: {_why(self.farm, job_id)}"
            for job_id in self.jobs
            if self.ended.get(job_id) != "completed"
        ]
        known = set(self.farm.parts.state.job_ids(0, 10**6))
        found += [f"{job_id} was made twice" for job_id in known - self.jobs.keys()]
        for job_id in self.ended:
            try:
                assert_log_whole(self.farm, job_id, log_of(self.farm.parts, job_id))
            except AssertionError as fault:
                found.append(f"{job_id}: {fault}")
        for model in self.farm.parts.registry.names():
            moves = [move["job"] for move in self.farm.parts.registry.history(model)]
            if len(moves) != len(set(moves)):
                found.append(f"{model}: an alias was moved twice by one job: {moves}")
        try:
            assert_left_nothing(self.farm)
        except AssertionError as fault:
            found.append(str(fault))
        return found

    def stop(self) -> None:
        """End hosts and API."""
        for host in self.hosts:
            host.terminate()
        for host in self.hosts:
            host.wait(60)
        if self.api:
            self.api.stop()


def _why(made: Farm, job_id: str) -> str:
    bad = [record for record in log_of(made.parts, job_id) if record["level"] in {"error", "warning"}]
    return json.dumps(bad[-2:])


def _children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children()
    return []


def main() -> int:
    """Run the soak; print its outcome and, as the last line, a JSON object. Exit code 1 where anything was wrong."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--minutes", type=float, default=15.0)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    agents = ",".join(f"{name}={TEST_AGENTS[name].path}" for name in NAMES)
    with (
        tempfile.TemporaryDirectory(prefix="tuneline-soak-") as folder,
        farm(
            Path(folder), {"TUNELINE_AGENTS": agents, "TUNELINE_LEASE_TTL_S": "3", "TUNELINE_LEASE_RENEW_S": "0.5"}
        ) as made,
    ):
        write_inputs(made.folder)
        soak = Soak(made, random.Random(given.seed))
        _run(soak, given.minutes * 60)
        faults = soak.faults()
        outcome = {
            "soak": "random kills",
            "minutes": given.minutes,
            "seed": given.seed,
            "jobs": len(soak.jobs),
            "completed": sum(status == "completed" for status in soak.ended.values()),
            "strikes": dict(soak.strikes),
            "faults": faults,
        }
        soak.stop()
    print("\n".join(faults) or "No job lost, no effect doubled, nothing left behind.")
    print(json.dumps(outcome))
    return 1 if faults else 0


def _run(soak: Soak, seconds: float) -> None:
    soak.keep_up()
    started_at = strike_at = time.monotonic()
    strike_at += 10.0
    with tqdm(total=round(seconds), unit="s", desc="soak", mininterval=5) as bar:
        while (now := time.monotonic()) < started_at + seconds:
            soak.keep_up()
            soak.submit()
            if now > strike_at:
                soak.strike()
                strike_at = now + soak.dice.uniform(*STRIKE_EVERY_S)
            bar.update(round(now - started_at) - bar.n)
            bar.set_postfix(refresh=False, jobs=len(soak.jobs), ended=len(soak.ended), strikes=soak.strikes.total())
            time.sleep(0.1)
    soak.drain(patience_s=180)


if __name__ == "__main__":
    sys.exit(main())
