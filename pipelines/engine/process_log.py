"""How the processes of Tuneline write their own logs: one line a record on standard error, whole traces for bugs."""

import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from agents.base.printable import printable


def configure_process_log() -> None:
    """Set structlog up for this process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            _printable,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _printable(_: Any, __: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # Names and messages from outside, on somebody's terminal.
    return {key: printable(value) if isinstance(value, str) else value for key, value in record.items()}
