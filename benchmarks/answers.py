"""What the answer cache costs where every text is new, and what it saves where texts come again.

    python -m benchmarks.answers [--small]

The shipped serving process, MiniLM as `onnx_int8`, three ways in turn: without the cache; with it and texts of which
none came before; with it and texts that it knows. Those whose turn it is not are stopped meanwhile. The last line is
one JSON object.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks._load import Load, load
from benchmarks._report import finish, print_table
from benchmarks._servers import servers
from benchmarks.serving import TEXTS, Contender, start_ours, write_model

LEVELS = (1, 16)
#: More than any server here answers in a second.
NEW_TEXTS_PER_S = 3000


def _processor_s(contender: Contender) -> float:
    """Return the processor time that a server has used: what else runs on the machine says little in it."""
    times = psutil.Process(contender.server.process.pid).cpu_times()
    return float(times.user + times.system)


def measure(
    contenders: Sequence[Contender],
    texts: Sequence[str],
    rounds: int,
    seconds: float,
    found: dict[tuple[str, int], list[Load]],
    costs_ms: dict[tuple[str, int], list[float]],
) -> None:
    """Load a server without the cache and one with it in turns; add what is seen to `found` and `costs_ms`."""
    plain, cached = contenders
    turns = [("off", plain, True), ("on, new texts", cached, True), ("on, known texts", cached, False)]
    numbers = itertools.count()
    for level, _, (kind, contender, new) in itertools.product(LEVELS, range(rounds), turns):
        contender.wake()
        bodies = [{"text": text} for text in texts]
        if new:
            again = itertools.islice(itertools.cycle(texts), int(NEW_TEXTS_PER_S * seconds))
            bodies = [{"text": f"{text} {next(numbers)}"} for text in again]
        else:
            load(contender.server.port, contender.path, bodies, level, seconds / 2)
        before_s = _processor_s(contender)
        measured = load(contender.server.port, contender.path, bodies, level, seconds)
        # The load leaves its first tenth out of its count.
        asked = measured.requests_per_s * seconds
        costs_ms.setdefault((kind, level), []).append((_processor_s(contender) - before_s) / asked * 1e3)
        contender.pause()
        found.setdefault((kind, level), []).append(measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="one round of 2 s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    count, seconds = (1, 2.0) if options.small else (options.rounds, options.seconds)
    texts = [json.loads(line)["text"] for line in TEXTS.read_text(encoding="utf-8").splitlines()]
    found: dict[tuple[str, int], list[Load]] = {}
    costs_ms: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as name, servers(Path(name), {}) as parts, ExitStack() as exits:
        folder = Path(name)
        write_model(parts, folder)
        contenders = []
        for cached in ("false", "true"):
            os.environ["TUNELINE_ANSWER_CACHE"] = cached
            server = start_ours(folder / cached, "onnx_int8")
            exits.callback(server.stop)
            contender = Contender(cached, server.wait_until_ready(), "/predict/spam")
            contender.pause()
            exits.callback(contender.wake)
            contenders.append(contender)
        measure(contenders, texts, count, seconds, found, costs_ms)
    rows = [
        {
            "cache": kind,
            "connections": level,
            "req/s": statistics.median(one.requests_per_s for one in loads),
            "p50 ms": statistics.median(one.p50_ms for one in loads),
            "p99 ms": statistics.median(one.p99_ms for one in loads),
            "processor ms/request": statistics.median(costs_ms[kind, level]),
        }
        for (kind, level), loads in found.items()
    ]
    print_table(rows)
    finish("answers", {"rows": rows, "rounds": count, "seconds": seconds})


if __name__ == "__main__":
    main()
