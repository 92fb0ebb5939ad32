"""How the processes of Tuneline write their own logs: one line a record, on standard error or in a file; whole traces
for bugs."""

import sys
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from agents.base.printable import printable


def _printable(_: Any, __: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # Names and messages from outside, on somebody's terminal.
    return {key: printable(value) if isinstance(value, str) else value for key, value in record.items()}


PROCESSORS = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.processors.format_exc_info,
    _printable,
    structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
)


def configure_process_log() -> None:
    """Set structlog up for this process."""
    structlog.configure(processors=PROCESSORS, logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def log_into(file: Path) -> Any:
    """Return a logger that appends to a file, which is opened for each record and so may be moved away."""
    return structlog.wrap_logger(_Appending(file), processors=PROCESSORS)


class _Appending:
    """What structlog hands finished lines to."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def msg(self, line: str) -> None:
        # A disk that is full or gone must not end who only wants to say something.
        with suppress(OSError), self._file.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    info = warning = error = msg
