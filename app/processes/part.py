"""A part of `tuneline up`: one process that is watched, and started again when it ends."""

import signal
import time
from collections.abc import Callable
from typing import Any, Protocol

from agents.base.errors import TunelineError
from app.processes.backoff import Backoff
from app.processes.server import Server, rotate

SIGNALS = {int(each): each.name for each in signal.Signals}


class Report(Protocol):
    """Tells of what became of a part: an event with its fields for the log, a sentence for the terminal."""

    def __call__(self, event: str, sentence: str, **fields: Any) -> None: ...


class Part:
    """One process: runs, or is to be started again, or is given up."""

    def __init__(self, name: str, launch: Callable[[], Server], report: Report) -> None:
        """`launch` starts it, the first time and each further one, without waiting for it."""
        self.name = name
        self.server: Server | None = None
        self.ready = False
        self.given_up = False
        self._launch = launch
        self._report = report
        self._backoff = Backoff()
        self._due_at = 0.0

    def start(self) -> None:
        """Start it for the first time, without waiting.

        Raises:
            Unavailable: it can't be started.
        """
        self.server = self._launch()

    def is_ready(self) -> bool:
        """Say, after its first start, whether it answers by now.

        Raises:
            Unavailable: it ended, or does not answer in time.
        """
        assert self.server, "it was started"
        self.ready = self.ready or self.server.is_ready()
        return self.ready

    def look(self, *, may_start: bool) -> None:
        """Note whether it has ended, or answers again; start it again when it is time and `may_start`."""
        if self.given_up:
            return
        if self.server is None:
            if may_start and time.monotonic() >= self._due_at:
                self._start_again()
        elif self.server.process.poll() is not None:
            self._ended(_end_of(self.server.process.returncode), self.server.process.returncode)
        elif not self.ready:
            self._look_whether_ready()

    def rotate_log(self) -> None:
        """Keep its log from growing without end."""
        if self.server is not None:
            rotate(self.server.log)

    def stop(self) -> None:
        """End it, if it runs."""
        if self.server is not None:
            self.server.stop()

    def _start_again(self) -> None:
        try:
            self.server = self._launch()
        except (TunelineError, OSError) as fault:
            self._wait(str(fault), None, 0.0)

    def _look_whether_ready(self) -> None:
        assert self.server, "it was started"
        try:
            self.ready = self.server.is_ready()
        except TunelineError:
            self._ended("it did not answer in time", self.server.process.returncode)
            return
        if self.ready:
            self._report("part_runs_again", f"{self.name} runs again.", part=self.name)

    def _ended(self, how: str, exit_code: int) -> None:
        assert self.server, "it was started"
        self._wait(how, exit_code, time.monotonic() - self.server.started_at)

    def _wait(self, how: str, exit_code: int | None, lived_s: float) -> None:
        """Have it started again after a while, or give it up."""
        wait_s = self._backoff.ended(lived_s)
        log = f" Its log: {self.server.log}." if self.server else ""
        last, self.server, self.ready = self.server, None, False
        fields: dict[str, Any] = {"part": self.name, "exit_code": exit_code, "how": how}
        if self._backoff.hopeless:
            self.given_up = True
            words = f" Its last words: {last.last_words()}" if last else ""
            sentence = (
                f"{self.name} ended {self._backoff.quick_ends} times soon after its start ({how}) and is given up."
            )
            self._report("part_given_up", f"{sentence}{log}{words}", **fields)
            return
        self._due_at = time.monotonic() + wait_s
        when = f"in {wait_s:g} s" if wait_s else "at once"
        self._report("part_ended", f"{self.name} ended ({how}); it is started again {when}.{log}", **fields)


def _end_of(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    return f"killed by {SIGNALS.get(-exit_code, f'signal {-exit_code}')}"
