"""Asking again while Redis is away."""

import time
from collections.abc import Callable
from typing import TypeVar

from redis import RedisError

T = TypeVar("T")
#: How long a finished attempt waits for a Redis that is away before it gives its work up.
REPORT_PATIENCE_S = 300.0


def patiently(call: Callable[[], T], patience_s: float = REPORT_PATIENCE_S) -> T:
    """Call until Redis answers, for at most `patience_s`.

    Raises:
        RedisError: it stayed away.
    """
    deadline = time.monotonic() + patience_s
    pause_s = 0.05
    while True:
        try:
            return call()
        except RedisError:
            if time.monotonic() + pause_s > deadline:
                raise
            time.sleep(pause_s)
            pause_s = min(2.0, pause_s * 2)
