"""Both services under schemathesis, with all of its checks, with the key and without: `python -m tests.fuzz.services`.

Real processes and servers; no workers, so that jobs which it submits wait.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from app.processes.embedded import free_port, http_answers
from app.processes.server import launch
from benchmarks._key import HEADERS, KEY
from benchmarks._servers import servers
from tests.support.served import put_versions, write_merged
from tuneline_start import start_command

CONFIG = Path(__file__).with_name("schemathesis.toml")
COUNTED = re.compile(r"(?P<cases>[\d,]+) generated(?:, (?P<found>[\d,]+) found)?")
STARTS_IN_S = 60.0


@contextmanager
def both_services(folder: Path) -> Iterator[dict[str, str]]:
    """Start the API and serving with two versions of a model; yield name -> URL."""
    with ExitStack() as exits, servers(folder, {}) as parts:
        put_versions(parts, write_merged(folder / "models"))
        ports = {"api": free_port(), "serve": free_port()}
        os.environ.update(
            TUNELINE_API_PORT=str(ports["api"]),
            TUNELINE_SERVING_PORT=str(ports["serve"]),
        )
        for name, port in ports.items():
            server = launch(name, start_command(name), folder / name, port, lambda port=port: http_answers(port))
            exits.callback(server.stop)
            server.wait_until_ready()
        yield {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


def document_of(url: str, folder: Path) -> Path:
    """Fetch the document of a service into a file; it needs the key, as every route does."""
    file = folder / f"{httpx.URL(url).port}.json"
    file.write_bytes(httpx.get(f"{url}/openapi.json", headers=HEADERS, timeout=STARTS_IN_S).raise_for_status().content)
    return file


def examine(url: str, document: Path, examples: int, number: int, *, with_key: bool) -> tuple[str, bool]:
    """Run schemathesis against a service; return what it printed, and whether it found nothing."""
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(CONFIG), "run", str(document)]
    # Wrong keys are put off after some, with 429 instead of 401: that nobody comes in is what the runs without it show.
    command += [
        "--url",
        url,
        "--checks",
        "all",
        "--exclude-checks",
        "ignored_auth",
        "--max-examples",
        str(examples),
        "--seed",
        str(number),
    ]
    command += ["--request-timeout", "30", "--continue-on-failure", "--no-color"]
    command += ["--header", f"Authorization: Bearer {KEY}"] if with_key else []
    run = subprocess.run(command, cwd=document.parent, capture_output=True, text=True, check=False)
    return run.stdout + run.stderr, run.returncode == 0


def main() -> int:
    """Examine both services."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=25, help="most examples of an operation and phase")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same one, the same requests")
    given = parser.parse_args()
    table = Table("service", "key", "cases", "failures", "s", title=f"schemathesis, all checks, seed {given.seed}")
    console, failed = Console(), []
    with tempfile.TemporaryDirectory() as name, both_services(Path(name)) as urls:
        for service, url in urls.items():
            document = document_of(url, Path(name))
            for with_key in (True, False):
                started_s = time.monotonic()
                text, is_clean = examine(url, document, given.examples, given.seed, with_key=with_key)
                counted = COUNTED.search(text)
                cases, found = (counted["cases"], counted["found"] or "0") if counted else ("?", "?")
                took = f"{time.monotonic() - started_s:.0f}"
                table.add_row(service, "yes" if with_key else "no", cases, found, took)
                if not is_clean:
                    failed.append(text)
    for text in failed:
        console.print(text, markup=False, highlight=False)
    console.print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
