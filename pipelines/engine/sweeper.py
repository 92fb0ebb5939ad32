"""The sweeper: finds leases that ran out, retries that are due, and messages that were lost.

Any number of sweepers may run: what one has done the next finds done.
"""

import threading

import structlog
from redis import Redis, RedisError

from agents.base.errors import NotFound, TunelineError
from pipelines.engine import keys
from pipelines.engine.logs import Logs
from pipelines.engine.orchestrator import Orchestrator
from pipelines.engine.queue import message_id
from pipelines.engine.registry import Registry

log = structlog.get_logger()
#: A message that was queued so long ago and is not in its queue either waits in a worker or was lost.
LOST_MESSAGE_S = 5.0
PAGE = 1000


class Sweeper:
    """Looks once a second at what has a time limit."""

    def __init__(self, orchestrator: Orchestrator, logs: Logs, registry: Registry, *, lease_ttl_s: float) -> None:
        self._orchestrator = orchestrator
        self._state = orchestrator.state
        self._connection: Redis = orchestrator.state.connection
        self._logs = logs
        self._registry = registry
        self._lease_ttl_s = lease_ttl_s
        self._swept_at: float | None = None
        self._blind_until = 0.0

    def sweep(self) -> int:
        """Look once; return how many things were put right.

        Raises:
            RedisError: Redis is away.
        """
        now = self._state.clock.now()
        if self._swept_at is not None and now - self._swept_at > self._lease_ttl_s / 2:
            # Redis or this host was away: others may have been cut off as well and get the chance to renew.
            self._blind_until = now + self._lease_ttl_s
        self._swept_at = now
        return self._leases(now) + self._due(now) + self._lost_messages(now) + self._archives()

    def run(self, stop: threading.Event, interval_s: float) -> None:
        """Look every `interval_s` seconds until `stop` is set."""
        while not stop.wait(interval_s):
            try:
                self.sweep()
            except (RedisError, TunelineError) as fault:
                log.warning("sweep_failed", message=str(fault))
            except Exception as fault:
                # One record that nobody foresaw must not end the sweeping of all the others' leases.
                log.error("sweep_failed", message=str(fault), exc_info=fault)

    def _leases(self, now: float) -> int:
        expired = self._connection.zrangebyscore(keys.LEASES, 0, now, start=0, num=PAGE)
        if expired and (now < self._blind_until or self._redis_has_just_started()):
            return 0
        for lease in expired:
            job, node, attempt = _parts(lease)
            if self._orchestrator.lease_lost(job, node, attempt):
                log.warning("lease_lost", job=job, node=node, attempt=attempt)
            else:
                self._connection.zrem(keys.LEASES, lease)
        return len(expired)

    def _redis_has_just_started(self) -> bool:
        return bool(self._connection.info("server")["uptime_in_seconds"] < self._lease_ttl_s)

    def _due(self, now: float) -> int:
        due = self._connection.zrangebyscore(keys.DUE, 0, now, start=0, num=PAGE)
        for lease in due:
            self._orchestrator.retry_due(*_parts(lease))
            self._connection.zrem(keys.DUE, lease)
        return len(due)

    def _lost_messages(self, now: float) -> int:
        """Queue again what a worker took and died with before it could claim it. A doubled message is harmless."""
        old = self._connection.zrangebyscore(keys.SENT, 0, now - LOST_MESSAGE_S, start=0, num=PAGE)
        resent = 0
        for lease in old:
            job, node, attempt = _parts(lease)
            try:
                planned = self._state.plan(job).nodes[node]
            except NotFound:
                self._connection.zrem(keys.SENT, lease)
                continue
            if not self._state.queues.holds(planned.queue, message_id(job, planned.number, attempt)):
                resent += self._state.resend(job, node, attempt)
        return resent

    def _archives(self) -> int:
        waiting = self._logs.unarchived()
        for job in waiting:
            try:
                plan = self._state.plan(job)
            except NotFound:
                self._connection.zrem(keys.UNARCHIVED, job)
                continue
            for planned in plan.nodes.values():
                if planned.makes_version:
                    self._registry.save_aliases(planned.config.get("model_name") or plan.name)
            self._logs.archive(job)
        return len(waiting)


def _parts(lease: bytes) -> tuple[str, str, int]:
    job, node, attempt = lease.decode().split("|")
    return job, node, int(attempt)
