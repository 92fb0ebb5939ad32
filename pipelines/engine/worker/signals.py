"""A worker's own signals, whatever an agent that runs in its process does with them."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Those that a worker is told to stop by, and those that an agent may have sent to itself by a timer.
KEPT = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Put back what was changed inside; a timer that still runs is switched off, so that it strikes no other attempt.

    Beside the main thread nothing can be changed, and nothing is put back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.getsignal(number) for number in KEPT]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(KEPT, before, strict=True):
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
