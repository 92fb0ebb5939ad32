"""Renders a model's chat template in a process of its own, which is kept for the next rendering.

Whatever a template does, however much it writes and however long it takes, ends as a sentence.
"""

import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.base.budgets import TEMPLATE
from agents.base.errors import InvalidModel, Unavailable, first_line

#: What templates take for today, so that a rendering is the same every day.
FIXED_DATE = "2024-07-26"
#: Of a request or an answer.
LENGTH = struct.Struct(">I")
PROGRAM = Path(__file__).with_name("template_program.py")
#: By path, with the modules that are found here, and without the current folder among them.
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import runpy; "
    "runpy.run_path(sys.argv[2], run_name='__main__')"
)
CURE = "Set preprocessing's `template` to another one, such as alpaca, or use another model."
LIMITS = {
    "memory": f"needs more than {TEMPLATE.memory_mib} MiB of memory",
    "characters": f"writes more than {TEMPLATE.rendered_characters:,} characters",
}


class Refused(Exception):
    """The template has no form for the messages; the message says why."""


class TemplateProcess:
    """One template at a time, in one process, by any number of threads in turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Any = None
        self._owner = 0

    def render(
        self,
        template: str,
        variables: Mapping[str, Any],
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        opens_answer: bool,
        date: str = FIXED_DATE,
    ) -> str:
        """Return what a template writes. `date`: today's for the template, as ISO 8601 has it.

        Raises:
            Refused: it doesn't take these messages.
            InvalidModel: it takes more than a template may.
            Unavailable: no process can be started.
        """
        if len(template) > TEMPLATE.template_characters:
            raise _beyond(f"has {len(template):,} characters, at most {TEMPLATE.template_characters:,} are run")
        given = len(json.dumps([list(messages), tools], ensure_ascii=False))
        request = {
            "template": template,
            "variables": dict(variables),
            "messages": list(messages),
            "tools": list(tools) if tools else None,
            "date": date,
            "opens_answer": opens_answer,
            "characters_most": TEMPLATE.rendered_characters + 4 * given,
        }
        with self._lock:
            answer = self._asked(json.dumps(request).encode())
        if "limit" in answer:
            raise _beyond(LIMITS[answer["limit"]])
        if "refused" in answer:
            raise Refused(answer["refused"])
        return str(answer["text"])

    def _asked(self, request: bytes) -> dict[str, Any]:
        process = self._started()
        try:
            assert process.stdin is not None
            process.stdin.write(LENGTH.pack(len(request)) + request)
            process.stdin.flush()
            until = time.monotonic() + TEMPLATE.wall_s
            size = LENGTH.unpack(self._read(process, LENGTH.size, until))[0]
            answer: dict[str, Any] = json.loads(self._read(process, size, until))
        except TimeoutError:
            self._stop()
            raise _beyond(f"takes longer than {TEMPLATE.wall_s:g} s") from None
        except (OSError, EOFError):
            raise _beyond(_end_of(self._stop())) from None
        except BaseException:
            # A cancel between request and answer: the next request would get this one's answer.
            self._stop()
            raise
        return answer

    def _read(self, process: subprocess.Popen[bytes], size: int, until: float) -> bytes:
        assert process.stdout is not None
        found, file = bytearray(), process.stdout.fileno()
        while len(found) < size:
            if not select.select([file], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError
            chunk = os.read(file, min(size - len(found), 1 << 20))
            if not chunk:
                raise EOFError
            found += chunk
        return bytes(found)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._owner == os.getpid():
            return self._process
        paths = json.dumps([path for path in sys.path if path])
        limits = json.dumps(asdict(TEMPLATE))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, paths, str(PROGRAM), limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                cwd=Path(__file__).anchor,
            )
        except OSError as fault:
            raise Unavailable(
                f"No process can be started to run a chat template: {first_line(fault)}.",
                cure="Free memory and processes on this host.",
            ) from fault
        self._owner = os.getpid()
        self._end = weakref.finalize(self, _end, self._process, self._owner)
        return self._process

    def _stop(self) -> int | None:
        """End the process; return how it ended."""
        process, self._process = self._process, None
        if self._end is not None:
            self._end()
        return process.returncode if process else None


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() != owner:
        return
    # One that has ended already keeps how it did.
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()


def _environment() -> dict[str, str]:
    """Return what a template's process may know: no key, no address."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH") if name in os.environ
    }
    return {**kept, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}


def _end_of(code: int | None) -> str:
    if code == -signal.SIGXCPU:
        return f"takes more than {TEMPLATE.cpu_s} s of processor time"
    how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    return f"ended the process that runs it ({how}), which may take {TEMPLATE.memory_mib} MiB of memory"


def _beyond(what: str) -> InvalidModel:
    return InvalidModel(f"The model's own chat template {what}.", cure=CURE)
