"""How long commands take to begin, and how much memory the API has: beside the libraries that any such command needs.

    python -m benchmarks.startup [--small] [--repetitions 15]

Programs take turns, and the fastest round of each counts: a start can only be slowed down. Processor time is counted
too, since it does not grow with what else the machine does.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from app.processes.embedded import free_port, http_answers
from app.processes.server import launch
from benchmarks._key import HEADERS
from benchmarks._report import finish, machine, print_table
from benchmarks._servers import servers
from tuneline_start import start_command

BASELINE = "python -c 'import typer, rich'"
LINES = {
    BASELINE: [sys.executable, "-c", "import typer, rich"],
    "tuneline --help": start_command("--help"),
    "tuneline jobs --help": [*start_command("jobs"), "--help"],
    "tuneline models --help": [*start_command("models"), "--help"],
    "tuneline run --help": [*start_command("run"), "--help"],
}


def measure(line: list[str]) -> tuple[float, float]:
    """Run a program to its end; return its wall and processor seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def starts(repetitions: int) -> dict[str, tuple[float, float]]:
    """Return the least wall and processor seconds of each program."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LINES}
    for _ in range(repetitions):
        for name, line in LINES.items():
            found[name].append(measure(line))
    return {name: (min(wall for wall, _ in rounds), min(cpu for _, cpu in rounds)) for name, rounds in found.items()}


def api_memory_mib(folder: Path, requests: int) -> dict[str, float]:
    """Return the memory of an API process once it answers, and after requests to most of its routes."""
    port = free_port()
    with servers(folder, {}):
        os.environ["TUNELINE_API_PORT"] = str(port)
        server = launch("API", start_command("api"), folder / "api", port, lambda: http_answers(port))
        try:
            server.wait_until_ready()
            process = psutil.Process(server.process.pid)
            at_start = process.memory_info().rss / 2**20
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=HEADERS) as api:
                for path in (
                    "/jobs",
                    "/models",
                    "/datasets",
                    "/queues",
                    "/workers",
                    "/health",
                    "/openapi.json",
                ) * requests:
                    api.get(path).raise_for_status()
            return {"at start": at_start, "after requests": process.memory_info().rss / 2**20}
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--repetitions", type=int, default=15)
    arguments = parser.parse_args()
    found = starts(3 if arguments.small else arguments.repetitions)
    base_wall, base_cpu = found[BASELINE]
    print_table(
        [
            {
                "program": name,
                "wall s": wall,
                "above it s": wall - base_wall,
                "processor s": cpu,
                "above it": cpu - base_cpu,
            }
            for name, (wall, cpu) in found.items()
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        memory = api_memory_mib(Path(folder), 2 if arguments.small else 20)
    print(f"\n{machine()}\n")
    print_table([{"API process": when, "RSS MiB": mib} for when, mib in memory.items()])
    seconds = {name: {"wall_s": wall, "processor_s": cpu} for name, (wall, cpu) in found.items()}
    finish("startup", {"programs": seconds, "api_rss_mib": memory})


if __name__ == "__main__":
    main()
