"""Time until a node runs elsewhere after its worker was killed or frozen, at default settings.

    python -m benchmarks.recovery [--small] [--kills 30]

Two hosts (`tuneline worker` each); a node runs in an agent process of its own. Struck in turn: the worker with -9,
the worker and its agent with -9, the worker with SIGSTOP, and the agent alone with -9. Measured is the time from the
signal to the start of the agent's next attempt, by the log's clock.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.wiring import Parts
from benchmarks._report import finish, machine, print_table
from benchmarks._servers import ROOT, servers
from pipelines.engine.state import keys
from pipelines.engine.state.logs import as_record

HOSTS, WORKERS_PER_HOST, AT_ONCE = 2, 5, 4
STRIKES = ("worker killed", "both killed", "worker frozen", "agent killed")
SPEC = {"name": "recovery", "nodes": {"endure": {"agent": "enduring", "retries": 20}}}


def wait_for(parts: Parts, job_id: str, attempt: int) -> dict[str, Any]:
    """Return the first record of an attempt's agent."""
    cursor = "0-0"
    while True:
        found = parts.connection.xread({keys.log(job_id): cursor}, block=60_000)
        assert found, f"{job_id} says nothing more"
        for stream_id, entry in found[0][1]:
            cursor, record = stream_id.decode(), as_record(stream_id, entry)
            if record["event"] == "enduring" and record["fields"]["attempt"] == attempt:
                return record


def strike(parts: Parts, job_id: str, kind: str) -> tuple[float, int]:
    """Strike at a running node; return when, by the server's clock, and the process that was hit."""
    agent = wait_for(parts, job_id, 1)["fields"]["pid"]
    worker = int((parts.state.job(job_id).nodes["endure"].worker or "").rpartition("-")[2])
    at = parts.state.clock.now()
    if kind == "agent killed":
        os.kill(agent, signal.SIGKILL)
        return at, agent
    os.kill(worker, signal.SIGSTOP if kind == "worker frozen" else signal.SIGKILL)
    if kind == "both killed":
        os.kill(agent, signal.SIGKILL)
    return at, worker


@contextmanager
def hosts() -> Iterator[None]:
    """Start the fleets."""
    command = [sys.executable, "-m", "app.cli", "worker", "--queue", "default", "--count", str(WORKERS_PER_HOST)]
    fleets = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(HOSTS)]
    try:
        yield
    finally:
        for fleet in fleets:
            fleet.terminate()
        for fleet in fleets:
            fleet.wait()


def measure(parts: Parts, kills: int) -> dict[str, list[float]]:
    """Return the seconds to recovery of so many strikes, by kind; a few jobs are struck at once."""
    taken: dict[str, list[float]] = {kind: [] for kind in STRIKES}
    for first in range(0, kills, AT_ONCE):
        kinds = [STRIKES[number % len(STRIKES)] for number in range(first, min(kills, first + AT_ONCE))]
        jobs = [parts.orchestrator.submit(SPEC, {}) for _ in kinds]
        struck = [strike(parts, job, kind) for job, kind in zip(jobs, kinds, strict=True)]
        for job, kind, (at, _) in zip(jobs, kinds, struck, strict=True):
            taken[kind].append(wait_for(parts, job, 2)["at"] - at)
            print(f"{kind}: {taken[kind][-1]:.1f} s", flush=True)
        for (_, pid), kind in zip(struck, kinds, strict=True):
            if kind == "worker frozen":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="four strikes, one of each kind")
    parser.add_argument("--kills", type=int, default=40)
    given = parser.parse_args()
    kills = 4 if given.small else given.kills
    print(f"{kills} strikes, {HOSTS} hosts of {WORKERS_PER_HOST} workers; {machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        agents = {"enduring": "benchmarks.agents:EnduringAgent"}
        with servers(Path(folder), agents) as parts, hosts():
            while len(parts.state.queues.workers()) < HOSTS * WORKERS_PER_HOST:
                time.sleep(0.1)
            taken = measure(parts, kills)
    rows = [
        {"struck": kind, "strikes": len(s), "median s": statistics.median(s), "worst s": max(s)}
        for kind, s in taken.items()
    ]
    print()
    print_table(rows)
    finish("recovery", {"strikes": kills, "rows": rows})


if __name__ == "__main__":
    main()
