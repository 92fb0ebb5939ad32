"""A worker's attempts, one after the other: claim, work under a lease, report, go on with what is handed over."""

import structlog
from redis import RedisError

from agents.base.errors import Fenced, NotFound, TunelineError
from agents.base.object_store import ObjectStore
from agents.base.sources import Sources
from pipelines.engine.orchestrator import Orchestrator
from pipelines.engine.state.cache import StepCache
from pipelines.engine.state.job import JOB_ENDED, Decision
from pipelines.engine.state.logs import Logs
from pipelines.engine.state.message import Message
from pipelines.engine.state.registry import Registry
from pipelines.engine.state.store import Claim
from pipelines.engine.worker.attempt import Attempt
from pipelines.engine.worker.devices import DevicePool
from pipelines.engine.worker.lease import leased
from pipelines.engine.worker.patience import patiently
from pipelines.engine.worker.slot import AttemptSlot
from pipelines.engine.worker.workplace import Limits, Workplace

log = structlog.get_logger()


class AttemptRunner:
    """Runs attempts, one after the other, for one worker process."""

    def __init__(
        self,
        worker: str,
        orchestrator: Orchestrator,
        logs: Logs,
        registry: Registry,
        objects: ObjectStore,
        sources: Sources,
        limits: Limits,
        devices: DevicePool,
        slot: AttemptSlot,
    ) -> None:
        """`slot`: what it runs stands there, for who keeps its lease."""
        connection = orchestrator.state.connection
        cache = StepCache(connection, objects)
        self.orchestrator = orchestrator
        self._workplace = Workplace(worker, orchestrator, logs, registry, cache, objects, sources, limits, devices)
        self._slot = slot
        self._attempt: Attempt | None = None
        self._stopping = False

    def run(self, message: Message) -> bool:
        """Run the attempt a message names, and what it is handed next.

        Returns:
            Whether it was claimed: not where it is another's or no longer wanted.
        """
        claim: Claim | None = None
        worker = self._workplace.worker
        try:
            claim = patiently(lambda: self.orchestrator.claim(message.job, message.node, message.attempt, worker))
            while claim is not None:
                message = claim.message
                claim = self._run(claim)
        except (Fenced, NotFound) as fault:
            log.warning("attempt_refused", job=message.job, node=message.node, message=fault.message)
            return claim is not None
        return True

    def shut_down(self) -> None:
        """Let a light agent end; let a heavy one save a checkpoint and hand its node back."""
        self._stopping = True
        attempt = self._attempt
        if attempt is not None and attempt.heavy:
            attempt.lease.hand_back()

    def _run(self, claim: Claim) -> Claim | None:
        """Run one claimed attempt and report it; return the attempt that was handed over in turn, if any."""
        job = claim.message.job
        node = self.orchestrator.state.plan(job).nodes[claim.message.node]
        with leased(self._slot, claim.attempt, node.timeout_s) as lease:
            self._attempt = Attempt(self._workplace, claim, lease)
            event, extra = self._attempt.work()
            lease.reports()
            # Where the next node would only pass through an empty queue to a worker like this one, take it at once.
            taker = None if self._stopping else (self._workplace.worker, node.queue)
            decision, taken = patiently(lambda: self.orchestrator.node_ended(job, event, extra, taker))
        self._after(job, decision)
        return taken

    def _after(self, job: str, decision: Decision) -> None:
        """Copy to the object store what can be made again from Redis; the sweeper does what is missed here."""
        try:
            if decision.promotion:
                self._workplace.registry.save_aliases(decision.promotion.model)
            if decision.head.status in JOB_ENDED:
                self._workplace.logs.archive(job)
        except (TunelineError, RedisError) as fault:
            log.warning("archive_later", job=job, message=str(fault))
