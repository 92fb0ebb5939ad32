"""Asking servers side by side how they are, none for longer than a bound."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property

from redis import Redis, RedisError

from agents.base.errors import TunelineError
from agents.base.object_store import ObjectStore
from pipelines.engine.state.redis_faults import place_of, redis_error
from pipelines.engine.state.rights import see_that_it_writes

#: How long a server may take to say how it is.
PROBE_TIMEOUT_S = 2.0


def faults_within(limit_s: float, looks: Mapping[str, Callable[[], str | None]]) -> dict[str, str | None]:
    """Return what each look found, None: nothing; one that takes longer than `limit_s` is told as silent.

    A look never raises.
    """
    found: dict[str, str | None] = {}

    def look_at(name: str) -> None:
        found[name] = looks[name]()

    threads = [threading.Thread(target=look_at, args=(name,), name=f"look-{name}", daemon=True) for name in looks]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    ended = dict(found)
    return {name: ended.get(name, f"It has not answered within {limit_s:g} s.") for name in looks}


class Probes:
    """Asks both servers, over connections of its own that give up soon; they are made when first asked for."""

    def __init__(self, connect: Callable[[], "Redis"], open_store: Callable[[float, float], ObjectStore]) -> None:
        self._connect = connect
        self._open_store = open_store

    def faults(self) -> dict[str, str | None]:
        """Return what is wrong with each server, within about 2 s; None: nothing."""
        return faults_within(PROBE_TIMEOUT_S + 0.5, {"redis": self._redis_fault, "object_store": self._store_fault})

    @cached_property
    def _connection(self) -> "Redis":
        return self._connect()

    @cached_property
    def _store(self) -> ObjectStore:
        return self._open_store(PROBE_TIMEOUT_S, 0.0)

    def _redis_fault(self) -> str | None:
        try:
            see_that_it_writes(self._connection)
        except RedisError as fault:
            return str(redis_error(fault, place_of(self._connection)))
        except TunelineError as fault:
            return str(fault)
        return None

    def _store_fault(self) -> str | None:
        try:
            self._store.require_bucket()
        except TunelineError as fault:
            return str(fault)
        return None
