"""Work on foreign bytes in a process of its own, with limits: what reads an upload may run out of memory or time, or
crash, and nothing else does.

A helper without threads, keys or data is started when it is first needed (`confined_helper.py`). It forks one process
for each call. That process has limits of memory, processor time and open files, and the caller bounds its wall time and
its answer. Answers are JSON or bytes, never pickles: a process that was taken over runs no code in the caller.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from agents.base import errors
from agents.base.confined_helper import BYTES, FAULT, FRAME, PIECE, VALUE, Request, Told
from agents.base.errors import InvalidData, Overloaded, TunelineError, Unavailable

T = TypeVar("T")

#: Calls that run at once, and that may wait for one of these to end.
RUNNING_MOST = 4
WAITING_MOST = 8
#: What a helper may take to start and to import what it was asked to.
START_S = 120.0
#: What the end of a process may take to be told.
END_S = 5.0
#: Of the environment only these go into the helper: no key, no address, no path of modules.
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
#: Libraries start no threads of their own there, which no fork would take along, and fetch nothing.
SET_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "MALLOC_ARENA_MAX": "2",
    # What is freed is given back at once, so that limits of memory meet what is in use.
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONSAFEPATH": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from agents.base.confined_helper import serve; serve(int(sys.argv[2]))"
)


@dataclass(frozen=True)
class Limits:
    """What a call may take, and what a user can do about it."""

    memory_mib: int = 512
    """Beside what the process has when it starts."""
    cpu_s: int = 20
    wall_s: float = 30.0
    open_files: int = 64
    answer_mib: int = 32
    memory_cure: str = "Make it smaller."
    time_cure: str = "Make it smaller."
    answer_cure: str = "Ask for less."


def confined(
    function: Callable[..., T],
    arguments: Mapping[str, Any],
    limits: Limits,
    *,
    subject: str,
    fault: type[TunelineError] = InvalidData,
    preload: Sequence[str] = (),
) -> T:
    """Call a function of a module in a process of its own and return what it returns.

    `arguments`: by name, as JSON can hold them; so is what the function returns, or it is bytes. `subject` begins the
    sentences on limits ("The preview of 'a.csv'"), and `fault` is their class. `preload`: modules that the helper
    imports once for all calls.

    Raises:
        TunelineError: what the function raised of our own errors; `fault`: it took more than `limits`, its process
            crashed, or it raised anything else.
        Overloaded: too many calls wait already.
        Unavailable: no process can be started here.
    """
    with _called(function, arguments, limits, subject, fault, preload) as call:
        found: T = call.value(*call.answer())
    return found


def confined_stream(
    function: Callable[..., Iterator[bytes]],
    arguments: Mapping[str, Any],
    limits: Limits,
    *,
    subject: str,
    fault: type[TunelineError] = InvalidData,
    preload: Sequence[str] = (),
) -> Iterator[bytes]:
    """Yield the pieces that a function of a module yields in a process of its own. Not one is made ahead of its reader
    but for what the pipe holds.

    As `confined`, but `wall_s` and `answer_mib` are each piece's.
    """
    with _called(function, arguments, limits, subject, fault, preload) as call:
        while (answer := call.answer())[0] == PIECE:
            yield answer[1]
        call.value(*answer)


@contextmanager
def _called(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    limits: Limits,
    subject: str,
    fault: type[TunelineError],
    preload: Sequence[str],
) -> "Iterator[_Call]":
    path = f"{function.__module__}:{function.__qualname__}"
    request = Request(path, (function.__module__, *preload), limits.memory_mib, limits.cpu_s, limits.open_files)
    with _SLOTS.one(), _HELPER.fork(request) as process:
        call = _Call(process, limits, subject, fault)
        call.send(json.dumps(arguments).encode())
        yield call


@dataclass(frozen=True)
class _Process:
    """A process of one call: `data` takes arguments and gives the answer, `status` says how the process ended.

    On the way out the helper sees `status` closed, and kills what still runs.
    """

    data: socket.socket
    status: socket.socket

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *fault: object) -> None:
        self.data.close()
        self.status.close()


@dataclass(frozen=True)
class _Call:
    process: _Process
    limits: Limits
    subject: str
    fault: type[TunelineError]

    def send(self, arguments: bytes) -> None:
        # A process that has ended takes nothing; its status says why.
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            self._waits(time.monotonic() + self.limits.wall_s).sendall(FRAME.pack(VALUE, len(arguments)) + arguments)

    def answer(self) -> tuple[bytes, bytes]:
        """Return the next answer: its kind and its bytes.

        Raises:
            TunelineError: there is none.
        """
        deadline = time.monotonic() + self.limits.wall_s
        try:
            kind, size = FRAME.unpack(self._received(FRAME.size, deadline))
            if size > self.limits.answer_mib << 20:
                self._refuse(f"gives an answer of more than {self.limits.answer_mib} MiB.", self.limits.answer_cure)
            return kind, self._received(size, deadline)
        except TimeoutError:
            self._refuse(f"takes longer than {self.limits.wall_s:g} s.", self.limits.time_cure)
        except (EOFError, ConnectionResetError):
            self._raise_for_end()

    def _waits(self, deadline: float) -> socket.socket:
        """Return the data's socket, which waits until the deadline."""
        self.process.data.settimeout(max(0.001, deadline - time.monotonic()))
        return self.process.data

    def _received(self, size: int, deadline: float) -> bytes:
        found = bytearray()
        while len(found) < size:
            chunk = self._waits(deadline).recv(min(size - len(found), 1 << 20))
            if not chunk:
                raise EOFError
            found += chunk
            if time.monotonic() > deadline:
                raise TimeoutError
        return bytes(found)

    def value(self, kind: bytes, answer: bytes) -> Any:
        """Return what an answer says.

        Raises:
            TunelineError: the function raised something, or the answer can't be read.
        """
        if kind == BYTES:
            return answer
        try:
            value = json.loads(answer)
            told = Told.of(value) if kind == FAULT else None
        except (ValueError, RecursionError, KeyError, TypeError):
            self._refuse("gives an answer that can't be read.", self.limits.answer_cure)
        if told is not None:
            self._raise(told)
        return value

    def _raise(self, told: Told) -> NoReturn:
        """Raise what the function raised."""
        if told.error == "MemoryError":
            self._refuse(f"needs more than {self.limits.memory_mib} MiB of memory.", self.limits.memory_cure)
        own = getattr(errors, told.error, None)
        if isinstance(own, type) and issubclass(own, TunelineError):
            raise own(told.message, cure=told.cure, details=told.details)
        self._refuse(f"fails: {told.message}.", "Check the file, or report this as a fault of Tuneline.")

    def _raise_for_end(self) -> NoReturn:
        """Raise for a process that ended without an answer."""
        self.process.status.settimeout(END_S)
        try:
            told = json.loads(self.process.status.recv(4096) or b"{}")
        except TimeoutError:
            told = {}
        code = told.get("exit_code")
        if code is None:
            raise Unavailable("The helper that reads foreign files was ended from outside.", cure="Try again.")
        if code == -signal.SIGXCPU:
            self._refuse(f"takes more than {self.limits.cpu_s} s of processor time.", self.limits.time_cure)
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._refuse(
            f"ended the process that works on it ({name}), which may take {self.limits.memory_mib} MiB of memory.",
            self.limits.memory_cure,
        )

    def _refuse(self, what: str, cure: str) -> NoReturn:
        raise self.fault(f"{self.subject} {what}", cure=cure)


class _Slots:
    """Bounds how many calls run and wait at once in this process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """In a process that was just forked: nothing runs here yet."""
        self._free = threading.Semaphore(RUNNING_MOST)
        self._admitted = threading.Semaphore(RUNNING_MOST + WAITING_MOST)

    @contextmanager
    def one(self) -> Iterator[None]:
        if not self._admitted.acquire(blocking=False):
            raise Overloaded(
                f"{RUNNING_MOST + WAITING_MOST} files are being looked at already.", cure="Try again in a moment."
            )
        try:
            with self._free:
                yield
        finally:
            self._admitted.release()


class _Helper:
    """The helper of this process: started when it is first needed, and again when it has died."""

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._program: subprocess.Popen[bytes] | None = None
        self.reset()

    def fork(self, request: Request) -> _Process:
        """Have a process forked for a request.

        Raises:
            Unavailable: no helper or no process can be started.
        """
        data, theirs = socket.socketpair()
        status, told = socket.socketpair()
        process = _Process(data, status)
        try:
            with theirs, told:
                self._send(request.to_json(), [theirs.fileno(), told.fileno()])
            status.settimeout(START_S)
            # One byte, once the process is there.
            if status.recv(1) != b"+":
                raise OSError("nothing was forked")
        except OSError as fault:
            process.__exit__()
            raise Unavailable(
                f"No process can be started to read a foreign file: {errors.first_line(fault)}.",
                cure="Free memory and processes on this host.",
            ) from fault
        return process

    def _send(self, message: bytes, files: list[int]) -> None:
        with self._lock:
            for _ in range(2):
                control = self._started()
                with suppress(BrokenPipeError, ConnectionResetError):
                    socket.send_fds(control, [message], files)
                    return
                self._forget()
        raise OSError("its helper ends at once")

    def _started(self) -> socket.socket:
        if self._control is None:
            # Keeps messages apart.
            control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
            # An empty entry is the current folder, which anybody may have put modules into.
            paths = [path for path in sys.path if path]
            with theirs:
                self._program = subprocess.Popen(
                    [sys.executable, "-c", START, json.dumps(paths), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    env=kept | SET_ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    # Keys that are pressed in a terminal reach this process alone, which ends its helper.
                    start_new_session=True,
                )
            self._control = control
        return self._control

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._program is not None:
            self._program.kill()
            self._program.wait()
        self._control = self._program = None

    def close(self) -> None:
        """End the helper, and with it all processes of calls."""
        with self._lock:
            self._forget()

    def reset(self) -> None:
        """In a process that was just forked: the helper is its parent's, and there is nothing to wait for."""
        self._lock = threading.Lock()
        if self._control is not None:
            self._control.close()
        if self._program is not None:
            self._program.returncode = 0
        self._control = self._program = None


_SLOTS = _Slots()
_HELPER = _Helper()
atexit.register(_HELPER.close)
os.register_at_fork(after_in_child=_SLOTS.reset)
os.register_at_fork(after_in_child=_HELPER.reset)
