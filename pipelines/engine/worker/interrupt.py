"""Breaking into a light agent, which runs in the worker's own process, when it never asks whether it should stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agents.base.errors import StopRequested
from pipelines.engine.worker.lease import Lease


@contextmanager
def interruptible() -> Iterator[None]:
    """Let `interrupt` break into what is done inside.

    Raises:
        StopRequested: it did.
    """

    def break_in(_number: int, _frame: FrameType | None) -> None:
        raise StopRequested("cancel")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, break_in)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


def interrupt(lease: Lease) -> None:
    """Break in, unless the attempt of this lease is no longer ours."""
    if lease.is_kept():
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
