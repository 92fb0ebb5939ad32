"""`tuneline up` in a terminal of its own, and commands beside it."""

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from app.client import Client
from app.processes.embedded import free_port
from tests.conftest import REPOSITORY

PATIENCE_S = 240.0
#: As the console script does it: the folder where it runs is not looked into.
TUNELINE = [sys.executable, "-P", str(REPOSITORY / "tuneline_start.py")]


class Terminal:
    """One `tuneline up` with its own state folder and ports."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """`settings`: further variables of the environment."""
        self.api_port, self.serving_port = free_port(), free_port()
        self.folder, self.state = folder, folder / "state"
        self.working_folder = REPOSITORY
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TUNELINE_")},
            "TUNELINE_STATE_DIR": str(self.state),
            "TUNELINE_API_PORT": str(self.api_port),
            "TUNELINE_SERVING_PORT": str(self.serving_port),
            "TUNELINE_API_URL": f"http://127.0.0.1:{self.api_port}",
            "TUNELINE_SERVING_URL": f"http://127.0.0.1:{self.serving_port}",
            "TUNELINE_LEASE_TTL_S": "3",
            "TUNELINE_DATA_ROOTS": str(folder),
            **settings,
        }
        self.client = Client(
            f"http://127.0.0.1:{self.api_port}", f"http://127.0.0.1:{self.serving_port}", state_dir=self.state
        )
        self.process: subprocess.Popen[str] | None = None
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def start(self) -> None:
        """Start the stack without waiting for it."""
        self.process = subprocess.Popen(
            [*TUNELINE, "up"], env=self.environment, cwd=self.working_folder, stdout=subprocess.PIPE, text=True
        )
        self._lines = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(self.process, self._lines), daemon=True).start()

    def up(self) -> None:
        """Start the stack and return once it says that it is ready."""
        self.start()
        self.wait_for("Next")

    def wait_for(self, words: str) -> str:
        """Return the first line with these words that the terminal says from now on."""
        while (line := self._lines.get(timeout=PATIENCE_S)) is not None:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"tuneline up ended before it said {words!r}; it said {self.said}")

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """Press Ctrl-C, or send another signal; return the exit code."""
        assert self.process
        self.process.send_signal(number)
        # Whoever was started holds the same output: its end is the end of all of them.
        while (line := self._lines.get(timeout=PATIENCE_S)) is not None:
            self.said.append(line)
        return self.process.wait(timeout=60)

    def processes(self) -> list[psutil.Process]:
        """Return every living process that belongs to this stack."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        """Say whether the environment names the state folder; Valkey writes over its own, and works in there."""
        try:
            named = process.environ().get("TUNELINE_STATE_DIR") == str(self.state)
            return named or Path(process.cwd()).is_relative_to(self.state)
        except psutil.Error:
            return False

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line to its end."""
        return subprocess.run(
            [*TUNELINE, *arguments],
            env=self.environment,
            cwd=self.working_folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    @staticmethod
    def _read(process: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str | None]") -> None:
        assert process.stdout
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
        lines.put(None)
