"""The helper of `confined`: a process without threads that forks one process for each call.

It imports what calls need once, so that a call costs a fork. It ends when its parent does, and its processes with it.
"""

import ctypes
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import struct
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from agents.base.errors import TunelineError
from agents.base.loading import load_object
from agents.base.system import writable_bytes

#: What arguments and answers begin with: their kind and their size in bytes.
FRAME = struct.Struct(">cQ")
#: A value as JSON, bytes, what was raised, and a piece of a stream, after which more follows.
VALUE, BYTES, FAULT, PIECE = b"V", b"B", b"F", b"P"
REQUEST_BYTES = 1 << 16
#: Of a sentence that is told.
MESSAGE_CHARACTERS = 4000
#: Of prctl(2), by <linux/prctl.h>.
SET_PARENT_DEATH_SIGNAL, SET_NO_NEW_PRIVILEGES = 1, 38
#: Where the socket of a call lies in its process; nothing else is open there.
CALL_FILE = 3
#: More than a helper ever has open.
FILES_MOST = 1 << 16


@dataclass(frozen=True)
class Request:
    """A call to be made. `function`: its path, `module:name`; `preload`: modules to import once for all calls."""

    function: str
    preload: tuple[str, ...]
    memory_mib: int
    cpu_s: int
    open_files: int

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True)
class Told:
    """What a call raised. `error`: the class, where it is one of ours; `MemoryError`; else nothing."""

    error: str
    message: str = ""
    cure: str = ""
    details: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return what another process told; it may have said anything.

        Raises:
            KeyError, TypeError, ValueError: it is not of this form.
        """
        error, message, cure = (str(value[name])[:MESSAGE_CHARACTERS] for name in ("error", "message", "cure"))
        return cls(error, message, cure, [dict(detail) for detail in value["details"]])

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


#: Made before there is no memory to make it with.
OUT_OF_MEMORY = FAULT, Told("MemoryError").to_json()
#: Given back where there is no memory, so that this can be told.
RESERVE = [bytearray(4 << 20)]


class _Helper:
    """Forks a process for each request; tells each caller how its process ended; kills those that nobody waits for."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.selector = selectors.DefaultSelector()
        self.callers: dict[int, socket.socket] = {}
        self.imported: set[str] = set()
        self.open = True

    def run(self) -> None:
        ended, wakes = socket.socketpair()
        ended.setblocking(False)
        wakes.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self.selector.register(self.control, selectors.EVENT_READ, None)
        self.selector.register(ended, selectors.EVENT_READ, None)
        while self.open:
            for key, _ in self.selector.select():
                if key.fileobj is self.control:
                    self._take_request()
                elif key.fileobj is ended:
                    with suppress(BlockingIOError):
                        ended.recv(1 << 10)
                elif key.data in self.callers:
                    # The caller is gone, or has waited long enough.
                    _kill(key.data)
                    self._drop(key.data)
            self._reap()

    def _take_request(self) -> None:
        message, files, _, _ = socket.recv_fds(self.control, REQUEST_BYTES, 2)
        if not message:
            self.open = False
            return
        data, status = (socket.socket(fileno=file) for file in files)
        helper = os.getpid()
        with data:
            request = Request(**json.loads(message))
            self._import(request.preload)
            try:
                process = os.fork()
            except OSError:
                status.close()
                return
            if process == 0:
                _work(request, data, helper)
        self.callers[process] = status
        self.selector.register(status, selectors.EVENT_READ, process)
        with suppress(OSError):
            status.send(b"+")

    def _import(self, modules: Sequence[str]) -> None:
        new = set(modules) - self.imported
        for module in new:
            # One that can't be imported is told by the call.
            with suppress(Exception):
                importlib.import_module(module)
        if new:
            self.imported |= new
            gc.collect()
            # Shared with the processes of calls as long as nobody writes to it.
            gc.freeze()

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            # What it started goes as well.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process, signal.SIGKILL)
            if process in self.callers:
                with suppress(OSError):
                    self.callers[process].send(json.dumps({"exit_code": os.waitstatus_to_exitcode(status)}).encode())
                self._drop(process)

    def _drop(self, process: int) -> None:
        caller = self.callers.pop(process)
        self.selector.unregister(caller)
        caller.close()


def serve(control_file: int) -> None:
    """Fork a process for each request that comes in, until the other end of the control socket is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=control_file) as control:
        _Helper(control).run()


def _kill(process: int) -> None:
    """Kill a process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


# -- the side of the call ---------------------------------------------------------------------------


def _work(request: Request, data: socket.socket, helper: int) -> None:
    """Make the call in this process, which the process `helper` has forked, and end it."""
    try:
        _shut_in(request, data.fileno(), helper)
        with socket.socket(fileno=CALL_FILE) as call:
            _, size = FRAME.unpack(_received(call, FRAME.size))
            for kind, answer in _answers(request.function, json.loads(_received(call, size))):
                call.sendall(FRAME.pack(kind, len(answer)))
                call.sendall(answer)
        os._exit(0)
    finally:
        os._exit(1)


def _shut_in(request: Request, data: int, helper: int) -> None:
    """Leave this process with its call's socket alone, and with limits of all that it could take."""
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    control = getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)
    control(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    control(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.getppid() != helper:
        os._exit(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.dup2(data, CALL_FILE)
    os.closerange(CALL_FILE + 1, FILES_MOST)
    bounds = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NOFILE: (request.open_files, request.open_files),
        resource.RLIMIT_CPU: (request.cpu_s, request.cpu_s + 1),
        # What a process may write to. Files that are mapped to be read don't count, such as a model's weights.
        resource.RLIMIT_DATA: ((writable_bytes() or 0) + (request.memory_mib << 20),) * 2,
    }
    for bound, (soft, hard) in bounds.items():
        resource.setrlimit(bound, (soft, hard))


def _received(call: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        chunk = call.recv(min(size - len(found), 1 << 20))
        if not chunk:
            raise EOFError
        found += chunk
    return bytes(found)


def _answers(path: str, arguments: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    """Yield what a call comes to: kinds and bytes; of an iterator's pieces one by one, and null at the end."""
    try:
        value = load_object(path)(**arguments)
        if isinstance(value, Iterator):
            for piece in value:
                yield PIECE, piece
            value = None
        yield (BYTES, value) if isinstance(value, bytes) else (VALUE, json.dumps(value).encode())
    except TunelineError as fault:
        yield FAULT, Told(type(fault).__name__, fault.message, fault.cure, fault.details).to_json()
    except MemoryError:
        RESERVE.clear()
        yield OUT_OF_MEMORY
    except Exception as fault:
        frame = traceback.extract_tb(fault.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        yield FAULT, Told("", f"{type(fault).__name__} in {place}: {fault}"[:MESSAGE_CHARACTERS]).to_json()
