"""A worker in the test's own process, with its leases kept beside it as a supervisor would."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from app.wiring import Parts
from pipelines.engine.state.message_loop import run_worker
from pipelines.engine.worker.lease import LeaseKeeper
from pipelines.engine.worker.slot import AttemptSlot


class InProcessWorker:
    """Works off queues when it is told to."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._slot = AttemptSlot()
        self.runner = parts.runner("worker-of-the-test", self._slot)

    def work_off(self, queues: Sequence[str]) -> None:
        """Run what waits in these queues."""
        with leases_kept(self.parts, self._slot):
            run_worker(queues, self.parts.connection, self.runner.run, self.runner.shut_down, burst=True)


@contextmanager
def leases_kept(parts: Parts, slot: AttemptSlot) -> Iterator[None]:
    """Keep the lease of whatever is in the slot."""
    keeper = LeaseKeeper(parts.connection, slot, ttl_s=parts.settings.lease_ttl_s)
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(parts.settings.lease_renew_s):
            keeper.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
