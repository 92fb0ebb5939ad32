"""Server processes: started with a log file, ended by SIGTERM then SIGKILL, and never left behind."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from agents.base.errors import Unavailable

START_TIMEOUT_S = 60.0
#: A log that is larger is kept as `server.log.1`, in place of the one before.
LOG_BYTES_MOST = 10 << 20
LAST_WORDS_BYTES = 4096
PR_SET_PDEATHSIG = 1


@dataclass
class Server:
    """A server process on loopback."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    answers: Callable[[], bool]
    start_timeout_s: float = START_TIMEOUT_S
    started_at: float = field(default_factory=time.monotonic)

    def is_ready(self) -> bool:
        """Say whether it answers.

        Raises:
            Unavailable: it has ended, or did not answer in time and was stopped; the message has its last words.
        """
        ended = self.process.poll() is not None
        if not ended and self.answers():
            return True
        if ended or time.monotonic() - self.started_at > self.start_timeout_s:
            self.stop()
            raise Unavailable(
                f"{self.name} did not start on port {self.port}: {self.last_words()}", cure=f"See {self.log}."
            )
        return False

    def wait_until_ready(self) -> "Server":
        """Return once it answers. Raises: as `is_ready`."""
        while not self.is_ready():
            time.sleep(0.02)
        return self

    def holds_port(self) -> bool:
        """Say whether this very process listens on its port, so that nobody else is told a password."""
        try:
            found = psutil.Process(self.process.pid).net_connections("tcp")
        except psutil.Error:
            return False
        return any(each.status == psutil.CONN_LISTEN and each.laddr.port == self.port for each in found)

    def last_words(self) -> str:
        """Return the last line of its log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LAST_WORDS_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the process: by SIGTERM, then by SIGKILL."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def rotate(log: Path, bytes_most: int = LOG_BYTES_MOST) -> None:
    """Where a log is larger than this, keep it as `<name>.1` and begin anew: who writes to it has it open."""
    if log.exists() and log.stat().st_size > bytes_most:
        # On a full disk the copy is given up, the bound is not.
        with suppress(OSError):
            shutil.copy(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def launch(
    name: str,
    command: list[str],
    folder: Path,
    port: int,
    answers: Callable[[], bool],
    env: dict[str, str] | None = None,
    *,
    stdin: bytes = b"",
    pass_fds: Sequence[int] = (),
) -> Server:
    """Start a server without waiting for it; what it prints goes to `folder`/server.log.

    `stdin`: a few lines that it reads at its start; `pass_fds`: sockets that it inherits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    with open(log, "ab", opener=_private) as output:
        # A session of its own: Ctrl-C in the terminal reaches `tuneline up`, which stops its servers in order.
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=pass_fds,
            env={**os.environ, **(env or {})},
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    if process.stdin:
        # One that has ended already says why in its log.
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(stdin)
    return Server(name, process, port, log, answers)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _die_with_parent() -> None:
    """Have the kernel end this process when `tuneline up` is killed, so that nothing is left behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
