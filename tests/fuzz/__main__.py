"""Every fuzzer in a process of its own, for some time: `python -m tests.fuzz [--seconds 60] [name ...]`."""

import argparse
import faulthandler
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fuzz.fuzzers import FUZZERS
from tests.fuzz.fuzzing import Found, run_for

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "fuzz"
#: One input may take so long by the clock before its process is ended with a trace.
STUCK_S = 300.0


def one(name: str, seconds: float, number: int) -> int:
    """Run one fuzzer in this process; print its tally as JSON."""
    faulthandler.dump_traceback_later(seconds + STUCK_S, exit=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            tally = run_for(FUZZERS[name], seconds, number, Path(folder), KEPT)
        except Found as found:
            print(found, file=sys.stderr)
            return 1
    facts = {"taken": tally.taken, "refused": tally.refused, "slowest_s": tally.slowest_s, "said": sorted(tally.said)}
    print(json.dumps(facts))
    return 0


def apart(name: str, seconds: float, number: int) -> subprocess.CompletedProcess[str]:
    """Run one fuzzer in a process of its own."""
    command = [sys.executable, "-m", "tests.fuzz", "--one", "--seconds", str(seconds), "--seed", str(number), name]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def main() -> int:
    """Run the fuzzers that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*FUZZERS, []], metavar="name", help=", ".join(FUZZERS))
    parser.add_argument("--seconds", type=float, default=60, help="how long each runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many run at once")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same one, the same inputs")
    parser.add_argument("--one", action="store_true", help="run the named one in this process")
    given = parser.parse_args()
    if given.one:
        return one(given.names[0], given.seconds, given.seed)
    names = given.names or list(FUZZERS)
    with ThreadPoolExecutor(given.jobs) as pool:
        ended = list(pool.map(lambda name: apart(name, given.seconds, given.seed), names))
    table = Table(
        "fuzzer", "taken", "refused", "slowest s", "refusals", title=f"{given.seconds:g} s each, seed {given.seed}"
    )
    for name, run in zip(names, ended, strict=True):
        if run.returncode == 0:
            facts = json.loads(run.stdout.splitlines()[-1])
            counts = (f"{facts['taken']:,}", f"{facts['refused']:,}", f"{facts['slowest_s']:.2f}")
            table.add_row(name, *counts, ", ".join(facts["said"]))
        else:
            table.add_row(name, "[red]fault[/]")
    console = Console()
    console.print(table)
    failed = [run for run in ended if run.returncode]
    for run in failed:
        console.print(run.stderr[-3000:], markup=False)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
