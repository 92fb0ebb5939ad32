"""Answers that somebody waits for: when the client goes away, the writing ends."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request

ResultT = TypeVar("ResultT")
LOOK_EVERY_S = 0.2


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


async def while_awaited(request: Request, answer: Awaitable[ResultT]) -> ResultT:
    """Return the answer; end its writing when the client goes away.

    Raises:
        ClientGone: it went away.
    """
    work = asyncio.ensure_future(answer)
    try:
        while not (await asyncio.wait({work}, timeout=LOOK_EVERY_S))[0]:
            if await request.is_disconnected():
                raise ClientGone
        return work.result()
    finally:
        work.cancel()
