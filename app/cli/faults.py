"""Faults of commands, as a user reads them."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from redis import RedisError

from agents.base.errors import TunelineError
from agents.base.printable import one_line, printable
from pipelines.engine.state.redis_faults import redis_error


def lines_of(fault: Exception) -> list[str] | None:
    """Return what to print of a fault; None of one that nobody foresaw, whose trace is wanted."""
    if isinstance(fault, TunelineError):
        return _lines(str(fault), fault.details)
    if isinstance(fault, ValidationError):
        return _lines(f"The settings have faults: {'; '.join(map(_setting_fault, fault.errors()))}.")
    if isinstance(fault, OSError) and fault.filename is not None:
        return _lines(f"'{fault.filename}': {fault.strerror}.")
    if isinstance(fault, RedisError):
        return _lines(str(redis_error(fault)))
    return None


def _setting_fault(found: ErrorDetails) -> str:
    message = found["msg"].removeprefix("Value error, ")
    return f"TUNELINE_{str(found['loc'][0]).upper()}: {message}" if found["loc"] else message


def _lines(message: str, details: Sequence[dict[str, Any]] = ()) -> list[str]:
    # A spec's faults are one to a line; the sentence before them would only repeat them.
    if details and all("path" in detail for detail in details):
        listed = (f"  {one_line(str(detail['path'])) or 'spec'}: {_text(str(detail['message']))}" for detail in details)
        return ["error: the request has faults:", *listed]
    return [f"error: {_text(message)}"]


def _text(message: str) -> str:
    # Further lines of a message are told from lines of ours.
    return printable(message).replace("\n", "\n  ")
