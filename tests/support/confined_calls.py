"""What tests call in a process of its own: good calls, bombs, crashes and forgeries."""

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from agents.base.confined_helper import CALL_FILE, FRAME
from agents.base.errors import NotFound


def echo(**values: Any) -> dict[str, Any]:
    return values


def as_bytes(text: str) -> bytes:
    return text.encode()


def refuse() -> None:
    raise NotFound("There is no row.", cure="Add one.", details=[{"path": "rows", "message": "none"}])


def fail(text: str) -> None:
    raise KeyError(text)


def leave(code: int) -> None:
    sys.exit(code)


def process_ids() -> list[int]:
    return [os.getpid(), os.getppid()]


def environment() -> list[str]:
    return [*map(str, os.environ.items()), Path("/proc/self/environ").read_text()]


def open_files() -> list[str]:
    return [str(file.readlink()) for file in Path("/proc/self/fd").glob("[!012]*") if file.exists()]


def one_large_block(mib: int) -> int:
    return len(bytearray(mib << 20))


def many_small_blocks() -> int:
    found: list[list[int]] = []
    while True:
        found.append([len(found)] * 10)


def block_of_a_library(mib: int) -> None:
    """As a library in C asks for memory, and crashes when it gets none."""
    ctypes.memset(ctypes.c_void_p(ctypes.CDLL(None).malloc(ctypes.c_size_t(mib << 20))), 1, mib << 20)


def abort() -> None:
    os.abort()


def read_nowhere() -> None:
    ctypes.string_at(8)


def work_for_ever() -> None:
    while True:
        pass


def match_for_ever() -> bool:
    return re.match("(a+)+$", "a" * 60 + "b") is not None


def read(path: str) -> str:
    return Path(path).read_text()


def write(path: str) -> int:
    return Path(path).write_text("x")


def hold_files(count: int) -> int:
    return len([os.open(os.devnull, os.O_RDONLY) for _ in range(count)])


def leave_a_program() -> int:
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    return program.pid


def say(kind: str, size: int, text: str) -> None:
    """Write an answer oneself, as a process that was taken over might."""
    os.write(CALL_FILE, FRAME.pack(kind.encode(), size) + text.encode())
    os._exit(0)


def large(characters: int) -> str:
    return "x" * characters


def print_and_wait(path: str) -> None:
    """Tell who this is, then wait for ever."""
    with Path(path).open("w") as told:
        # A FIFO has no size, so that it may be written to.
        told.write(json.dumps(os.getpid()))
    work_for_ever()
