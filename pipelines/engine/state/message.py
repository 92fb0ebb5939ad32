"""The message of an attempt, and how one that lies in a queue is read: as data that anybody may have put there."""

import json
import zlib
from typing import Any

from pydantic import ValidationError

from agents.base.records import Record
from pipelines.engine.attempt_id import JOB

#: Far above what the limits of specs let a node's config come to.
MESSAGE_BYTES_MOST = 64 << 20
SHOWN_CHARACTERS = 100
#: How every protocol of pickle that RQ writes begins.
PICKLE = b"\x80"


class Message(Record):
    """What a worker needs to know of an attempt."""

    job: str
    node: str
    attempt: int
    agent: str
    config: dict[str, Any]
    inputs: list[str]
    """Nodes whose outputs the agent gets."""


class ForeignMessage(ValueError):
    """Something in a queue that is not the message of an attempt; the text says what it is instead."""


def read_message(data: bytes) -> Message:
    """Return the message in the field `data` of an RQ job: JSON of `[function, None, [message], {}]`, deflated.

    The function that it names is not looked at, and nothing in it is imported, unpickled or called.

    Raises:
        ForeignMessage: it is anything else.
    """
    text = _inflated(data)
    if text.startswith(PICKLE):
        raise ForeignMessage("it is pickled")
    try:
        # Broken UTF-8, no JSON, digits without end, nested without end.
        call = json.loads(text)
    except (ValueError, RecursionError):
        raise ForeignMessage("it is not JSON") from None
    match call:
        case [_, None, [dict() as content], {} as options] if not options:
            return _checked(content, call[0])
        case [function, *_]:
            raise ForeignMessage(f"it calls {shown(function)}")
    raise ForeignMessage("it is not a call")


def shown(value: object) -> str:
    """Return a value from outside as it may stand in a sentence."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text, rest = inflater.decompress(data, MESSAGE_BYTES_MOST), inflater.unconsumed_tail
    except zlib.error:
        text, rest = data[:MESSAGE_BYTES_MOST], data[MESSAGE_BYTES_MOST:]
    if rest:
        raise ForeignMessage(f"it is larger than {MESSAGE_BYTES_MOST >> 20} MiB")
    return text


def _checked(content: dict[str, Any], function: object) -> Message:
    try:
        message = Message.model_validate(content)
    except ValidationError:
        raise ForeignMessage(f"it calls {shown(function)}") from None
    if not JOB.fullmatch(message.job):
        raise ForeignMessage(f"{shown(message.job)} is not the id of a job")
    return message
