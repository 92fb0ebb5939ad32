"""Runs a fuzzer: its inputs go through a parser, which takes each or refuses it with a sentence, within its budget."""

import hashlib
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from agents.base.errors import TunelineError
from tests.fuzz.inputs import mutated

#: More processor time than this for one input is a fault.
CPU_MOST_S = 5.0
#: More address space than this beyond what the process has at its start is a fault.
MEMORY_MOST_BYTES = 1 << 30
BATCH = 200


@dataclass(frozen=True)
class Fuzzer:
    """A parser and what it is given: `seeds`, of which it takes the first, with changes that may put in `pieces`.

    `parse(content, folder)` reads an input, with an empty folder for files. It may raise a `TunelineError`.
    """

    name: str
    seeds: Sequence[bytes]
    parse: Callable[[bytes, Path], object]
    pieces: Sequence[bytes] = ()

    @property
    def inputs(self) -> SearchStrategy[bytes]:
        return mutated(self.seeds, self.pieces)


@dataclass
class Tally:
    """What a fuzzer has seen."""

    taken: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    said: set[str] = field(default_factory=set)
    """Kinds of refusals."""


@dataclass(frozen=True)
class Drawn:
    """An input as reports show it."""

    content: bytes

    def __repr__(self) -> str:
        return f"{len(self.content)} bytes"


class Found(AssertionError):
    """An input that a parser can't stand; it is kept in a file."""


def try_input(fuzzer: Fuzzer, content: bytes, folder: Path, kept: Path, tally: Tally) -> None:
    """Give one input to the parser.

    Raises:
        Found: it raised what is not a refusal, refused without a word, or took too long. The input lies in `kept`.
    """
    started_s = time.process_time()
    try:
        fuzzer.parse(content, folder)
        tally.taken += 1
    except TunelineError as refusal:
        tally.refused += 1
        tally.said.add(refusal.code())
        if not refusal.message.strip() or "Traceback" in refusal.message:
            raise _found(fuzzer, content, kept, f"a refusal without a sentence: {refusal.message!r}") from refusal
    except Exception as fault:
        raise _found(fuzzer, content, kept, f"{type(fault).__name__}: {str(fault)[:300]}") from fault
    took_s = time.process_time() - started_s
    tally.slowest_s = max(tally.slowest_s, took_s)
    if took_s > CPU_MOST_S:
        raise _found(fuzzer, content, kept, f"{took_s:.1f} s of processor time")


def run_examples(fuzzer: Fuzzer, count: int, number: int, folder: Path, kept: Path, tally: Tally) -> None:
    """Run `count` inputs, drawn by the seed `number`.

    Raises:
        Found: as `try_input`, of the first input that there is one for; making slow ones smaller would take hours.
    """

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    @given(fuzzer.inputs.map(Drawn))
    def run(drawn: Drawn) -> None:
        try_input(fuzzer, drawn.content, folder, kept, tally)

    run()


def run_for(fuzzer: Fuzzer, seconds: float, number: int, folder: Path, kept: Path) -> Tally:
    """Run inputs for so long, under a limit of memory; return what was seen.

    Raises:
        Found: as `run_examples`.
    """
    limit_memory(MEMORY_MOST_BYTES)
    tally, until = Tally(), time.monotonic() + seconds
    while time.monotonic() < until:
        run_examples(fuzzer, BATCH, number, folder, kept, tally)
        number += 1
    return tally


def limit_memory(more_bytes: int) -> None:
    """Let this process have so much more address space than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _found(fuzzer: Fuzzer, content: bytes, kept: Path, why: str) -> Found:
    kept.mkdir(parents=True, exist_ok=True)
    file = kept / f"{fuzzer.name}-{hashlib.sha256(content).hexdigest()[:12]}"
    file.write_bytes(content)
    return Found(f"{fuzzer.name}: {why}. The input: {file}")
