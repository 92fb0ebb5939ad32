"""Server processes: started with a log file, ended by SIGTERM then SIGKILL, and never left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.base.errors import Unavailable

START_TIMEOUT_S = 30.0
PR_SET_PDEATHSIG = 1


@dataclass
class Server:
    """A server process on loopback."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    answers: Callable[[], bool]

    def wait_until_ready(self) -> "Server":
        """Return once it answers.

        Raises:
            Unavailable: it ended, or did not answer in time; the message has its last words.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
                raise Unavailable(
                    f"{self.name} did not start on port {self.port}: {' '.join(last)}", cure=f"See {self.log}."
                )
            time.sleep(0.02)
        return self

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the process: by SIGTERM, then by SIGKILL."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def launch(
    name: str,
    command: list[str],
    folder: Path,
    port: int,
    answers: Callable[[], bool],
    env: dict[str, str] | None = None,
) -> Server:
    """Start a server without waiting for it; what it prints goes to `folder`/server.log."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    with log.open("ab") as output:
        # A session of its own: Ctrl-C in the terminal reaches `tuneline up`, which stops its servers in order.
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **(env or {})},
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    return Server(name, process, port, log, answers)


def _die_with_parent() -> None:
    """Have the kernel end this process when `tuneline up` is killed, so that nothing is left behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
