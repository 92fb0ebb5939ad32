"""A part that ends is noticed, told of, started again after a growing while, and given up in the end."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.processes import backoff
from app.processes.backoff import LONGEST_WAIT_S, QUICK_ENDS_MOST, QUICK_S, Backoff
from app.processes.fleet import Fleet, WorkerProcess
from app.processes.part import Part
from app.processes.server import launch
from app.wiring import Parts


class Stage:
    """A part whose process runs a program, and what it reported."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self.program = folder, program
        self.reports: list[tuple[str, str, dict[str, Any]]] = []
        self.part = Part("The API", self._launch, self._report)

    def _launch(self) -> Any:
        return launch("The API", [sys.executable, "-c", self.program], self.folder, 1, lambda: True)

    def _report(self, event: str, sentence: str, **fields: Any) -> None:
        self.reports.append((event, sentence, fields))

    def look_until(self, event: str, *, may_start: bool = True) -> tuple[str, dict[str, Any]]:
        """Look at the part again and again until it reports an event; return what that was."""
        while not any(said == event for said, _, _ in self.reports):
            self.part.look(may_start=may_start)
            if (server := self.part.server) is not None and event != "part_runs_again":
                server.process.wait(60)
        return next((sentence, fields) for said, sentence, fields in self.reports if said == event)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, "import signal; print('up', flush=True); signal.pause()")
    yield made
    made.part.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_part_runs_again_and_both_is_said(stage: Stage, number: signal.Signals) -> None:
    stage.part.start()
    assert stage.part.is_ready()
    first = stage.part.server
    assert first
    first.process.send_signal(number)
    first.process.wait(60)
    sentence, fields = stage.look_until("part_ended")
    again, _ = stage.look_until("part_runs_again")

    assert sentence == f"The API ended (killed by {number.name}); it is started again at once. Its log: {first.log}."
    assert fields["exit_code"] == -number
    assert again == "The API runs again."
    assert stage.part.server is not first
    assert [event for event, _, _ in stage.reports] == ["part_ended", "part_runs_again"]


def test_a_part_that_ends_at_once_each_time_is_given_up_with_its_last_words(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST_WAIT_S", 0.001)
    stage.program = "print('no room on the disk', flush=True); raise SystemExit(7)"
    stage.part.start()
    sentence, fields = stage.look_until("part_given_up")
    for _ in range(3):
        stage.part.look(may_start=True)

    assert "ended 6 times soon after its start (exit code 7) and is given up." in sentence
    assert f"Its log: {stage.folder / 'server.log'}. Its last words: no room on the disk" in sentence
    assert fields["exit_code"] == 7
    ends = [event for event, _, _ in stage.reports if event != "part_runs_again"]
    assert ends == ["part_ended"] * (QUICK_ENDS_MOST - 1) + ["part_given_up"]
    assert stage.part.server is None


def test_a_part_waits_for_those_that_it_needs(stage: Stage) -> None:
    stage.part.start()
    assert stage.part.server
    stage.part.server.process.kill()
    stage.part.server.process.wait(60)
    stage.look_until("part_ended")
    for _ in range(3):
        stage.part.look(may_start=False)
    assert stage.part.server is None

    stage.part.look(may_start=True)
    assert stage.part.server is not None


def test_a_part_that_cannot_be_started_is_told_of_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_WAIT_S", 0.001)
    stage.part.start()
    assert stage.part.server
    stage.part.server.process.kill()
    stage.part.server.process.wait(60)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    sentence, _ = stage.look_until("part_given_up")

    assert "No such file or directory: '/nowhere/python'" in sentence


def test_waits_grow_up_to_a_bound_and_a_long_life_forgets_them() -> None:
    waiting = Backoff()
    waits = [waiting.ended(1.0) for _ in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[1], waits[-1]) == (0.0, 0.5, LONGEST_WAIT_S)
    assert waiting.hopeless
    assert waiting.ended(QUICK_S) == 0.0
    assert not waiting.hopeless


def test_a_socket_that_is_handed_down_stays_open_for_the_next(tmp_path: Path) -> None:
    read, write = os.pipe()
    server = launch(
        "x", [sys.executable, "-c", f"import os; os.write({write}, b'1')"], tmp_path, 1, bool, pass_fds=[write]
    )
    server.process.wait(60)
    os.write(write, b"2")

    assert os.read(read, 2) == b"12"
    os.close(read)
    os.close(write)


def ended_worker() -> WorkerProcess:
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    process.start()
    process.join()
    return WorkerProcess(process, multiprocessing.Pipe()[0])


def test_workers_that_end_at_once_are_not_started_at_once_again_and_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, started = Fleet(parts, {"default": 1}), []

    def start(queue: str) -> WorkerProcess:
        started.append(queue)
        return ended_worker()

    monkeypatch.setattr(fleet, "_start", start)
    for _ in range(4):
        fleet._follow()
    assert len(started) == 2
    fleet.shut_down()


def test_a_process_reads_what_it_is_handed_and_one_that_is_gone_is_no_fault(tmp_path: Path) -> None:
    program = "import sys; print(sys.stdin.read())"
    read = launch("x", [sys.executable, "-c", program], tmp_path / "a", 1, bool, stdin=b"secret words")
    gone = launch("x", ["/bin/true"], tmp_path / "b", 1, bool, stdin=b"secret words" * 100)
    read.process.wait(60)
    gone.process.wait(60)

    assert read.last_words() == "secret words"
    assert gone.last_words() == "it said nothing"
