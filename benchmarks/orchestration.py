"""Time per node of graphs that do nothing, beside raw RQ in the same run: what the engine itself costs.

    python -m benchmarks.orchestration [--small] [--repetitions 5]

Both sides have two worker processes on one Valkey, once with an append-only file and once without.
Tuneline keeps state, fencing tokens, leases and logs on.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from app.wiring import Parts
from benchmarks import _raw_rq
from benchmarks._report import finish, machine, print_table
from benchmarks._servers import ROOT, servers
from pipelines.engine.state import keys

Graph = dict[str, list[str]]
WORKERS = 2


def chain(length: int) -> Graph:
    """Return a row of nodes, each needing the one before."""
    return {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(length)}


def fan(width: int) -> Graph:
    """Return one node, many that need it, and one that needs them all."""
    middle = [f"w{i}" for i in range(width)]
    return {"root": [], **{name: ["root"] for name in middle}, "sink": middle}


def layers(depth: int, width: int) -> Graph:
    """Return layers of nodes, each needing two of the layer above, drawn with a fixed seed."""
    draw, graph = random.Random(7), {}
    for layer in range(depth):
        for i in range(width):
            above = sorted(draw.sample(range(width), 2)) if layer else []
            graph[f"l{layer}_{i}"] = [f"l{layer - 1}_{parent}" for parent in above]
    return graph


def run_tuneline(parts: Parts, graph: Graph) -> str:
    """Submit a graph and return its job once it has ended."""
    nodes = {name: {"agent": "noop", "needs": needs} for name, needs in graph.items()}
    job_id = parts.orchestrator.submit({"name": "bench", "nodes": nodes}, {})
    cursor = "0-0"
    while True:
        found = parts.connection.xread({keys.log(job_id): cursor}, block=60_000)
        records = found[0][1]
        cursor = records[-1][0]
        if any(entry[b"event"] in {b"job_completed", b"job_failed"} for _, entry in records):
            assert parts.state.head(job_id).status == "completed"
            return job_id


@contextmanager
def both_sides(folder: Path, *, append_only: bool) -> Iterator[Parts]:
    """Start servers and both sides' workers; yield the parts."""
    os.environ["BENCH_TRACE"] = str(folder / "trace")
    with servers(folder, {"noop": "benchmarks.agents:NoopAgent"}, append_only=append_only) as parts:
        commands = [
            [sys.executable, "-c", "from app.processes.worker import work; work(['default'])"],
            [sys.executable, "-m", "benchmarks._raw_rq", os.environ["TUNELINE_REDIS_URL"]],
        ]
        workers = [subprocess.Popen(command, cwd=ROOT) for command in commands for _ in range(WORKERS)]
        try:
            yield parts
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()


def handoff_ms(trace: Path, run: str, graph: Graph) -> float:
    """Return the median time from the end of a node to the start of the next one on a chain."""
    spans = {}
    for line in trace.read_text().splitlines():
        owner, name, started, ended = line.split()
        if owner == run:
            spans[name] = float(started), float(ended)
    return 1e3 * statistics.median(spans[name][0] - spans[needs[0]][1] for name, needs in graph.items() if needs)


def measure(run: Callable[[], None], nodes: int) -> float:
    """Return milliseconds per node of one run, from submit to end."""
    started = time.monotonic()
    run()
    return 1e3 * (time.monotonic() - started) / nodes


def compare(parts: Parts, graphs: dict[str, Graph], repetitions: int, *, append_only: bool) -> list[dict[str, object]]:
    """Run both sides in turn, `repetitions` times each after a warm-up; return a row per graph."""
    raw = redis.Redis.from_url(parts.redis_url)
    trace = Path(os.environ["BENCH_TRACE"])
    run_tuneline(parts, chain(3))
    _raw_rq.run_graph(raw, chain(3), "warm")
    rows: list[dict[str, object]] = []
    for name, graph in graphs.items():
        ours, theirs, gaps_ours, gaps_theirs = [], [], [], []
        for repetition in range(repetitions):
            jobs: list[str] = []
            run_id = f"raw-{append_only}-{name}-{repetition}"
            ours.append(measure(lambda: jobs.append(run_tuneline(parts, graph)), len(graph)))  # noqa: B023
            theirs.append(measure(lambda: _raw_rq.run_graph(raw, graph, run_id), len(graph)))  # noqa: B023
            if name == "chain":
                gaps_ours.append(handoff_ms(trace, jobs[0], graph))
                gaps_theirs.append(handoff_ms(trace, run_id, graph))
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        rows.append(
            {
                "graph": name,
                "nodes": len(graph),
                "AOF": "on" if append_only else "off",
                "Tuneline ms/node": statistics.median(ours),
                "raw RQ ms/node": statistics.median(theirs),
                "ratio (median of pairs)": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "hand-off ms": statistics.median(gaps_ours) if gaps_ours else None,
                "RQ hand-off ms": statistics.median(gaps_theirs) if gaps_theirs else None,
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="smaller graphs, two repetitions")
    parser.add_argument("--repetitions", type=int, default=5)
    given = parser.parse_args()
    graphs = {"chain": chain(100), "fan 1-98-1": fan(98), "10 layers": layers(10, 100)}
    if given.small:
        graphs = {"chain": chain(30), "fan 1-28-1": fan(28), "10 layers": layers(10, 10)}
        given.repetitions = 2
    print(f"Two workers a side; {given.repetitions} pairs; {machine()}\n")
    rows = []
    for append_only in (True, False):
        with tempfile.TemporaryDirectory() as folder, both_sides(Path(folder), append_only=append_only) as parts:
            rows += compare(parts, graphs, given.repetitions, append_only=append_only)
    print_table(rows)
    finish("orchestration", {"pairs": given.repetitions, "rows": rows})


if __name__ == "__main__":
    main()
