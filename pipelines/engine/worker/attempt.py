"""One attempt in a worker: claim it, ask the step cache, run the agent, report under the fencing token."""

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import structlog
from redis import RedisError

from agents import AgentEntry, load_agent
from agents.base.contract import Input
from agents.base.errors import AgentFailed, Fenced, InvalidSpec, NotFound, StopRequested, TimedOut, TunelineError
from agents.base.objects import ObjectStore
from agents.base.sources import Sources
from pipelines.engine.orchestrator import Orchestrator
from pipelines.engine.state.cache import CacheKey, StepCache, cache_key
from pipelines.engine.state.job import JOB_ENDED, Completed, Decision, NodeEvent, Stopped
from pipelines.engine.state.logs import Logs
from pipelines.engine.state.queue import Message
from pipelines.engine.state.registry import Registry
from pipelines.engine.state.store import Claim
from pipelines.engine.worker.child import AgentProcess
from pipelines.engine.worker.context import AttemptContext
from pipelines.engine.worker.devices import DeviceLease, DevicePool
from pipelines.engine.worker.interrupt import interrupt, interruptible
from pipelines.engine.worker.lease import Lease, LeaseKeeper, Reason
from pipelines.engine.worker.run_agent import Outcome, device_need, run_agent, unforeseen
from pipelines.plan import PlannedNode

log = structlog.get_logger()
T = TypeVar("T")
#: How long a finished attempt waits for a Redis that is away before it gives its work up.
REPORT_PATIENCE_S = 300.0
UNKNOWN_AGENT = AgentEntry("", "")


@dataclass(frozen=True)
class Limits:
    """Times that bound an attempt, in seconds, and the folder it works in."""

    lease_ttl_s: float
    lease_renew_s: float
    stop_grace_s: float
    work_root: Path


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
    ) -> None:
        self.worker = worker
        self.orchestrator = orchestrator
        self.state = orchestrator.state
        self.logs = logs
        self.registry = registry
        self.cache = StepCache(self.state.connection, objects)
        self.objects = objects
        self.sources = sources
        self.limits = limits
        self.devices = devices
        self._keeper = LeaseKeeper(self.state.connection, ttl_s=limits.lease_ttl_s, renew_s=limits.lease_renew_s)
        self._heavy = False
        self._stopping = False

    def run(self, message: Message) -> bool:
        """Run the attempt a message names, and what it is handed next.

        Returns:
            Whether it was claimed: not where it is another's or no longer wanted.
        """
        claim: Claim | None = None
        try:
            claim = patiently(lambda: self.orchestrator.claim(message.job, message.node, message.attempt, self.worker))
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
        lease = self._keeper.lease
        if lease is not None and self._heavy:
            lease.hand_back()

    def _run(self, claim: Claim) -> Claim | None:
        """Run one claimed attempt and report it; return the attempt that was handed over in turn, if any."""
        attempt = _Attempt(self, claim)
        self._heavy = attempt.heavy
        with self._keeper.keep(attempt.lease):
            event, extra = attempt.work()
        job = claim.message.job
        # Where the next node would only pass through an empty queue to a worker like this one, take it at once.
        taker = None if self._stopping else (self.worker, attempt.node.queue)
        decision, taken = patiently(lambda: self.orchestrator.node_ended(job, event, extra, taker))
        self._after(job, decision)
        return taken

    def _after(self, job: str, decision: Decision) -> None:
        """Copy to the object store what can be made again from Redis; the sweeper does what is missed here."""
        try:
            if decision.promotion:
                self.registry.save_aliases(decision.promotion.model)
            if decision.head.status in JOB_ENDED:
                self.logs.archive(job)
        except (TunelineError, RedisError) as fault:
            log.warning("archive_later", job=job, message=str(fault))


class _Attempt:
    """What is known while one attempt runs."""

    def __init__(self, runner: AttemptRunner, claim: Claim) -> None:
        self.runner = runner
        self.claim = claim
        self.message = message = claim.message
        self.plan = runner.state.plan(message.job)
        self.node = node = self.plan.nodes[message.node]
        self.entry = runner.orchestrator.agents.get(node.agent, UNKNOWN_AGENT)
        self.heavy = self._is_heavy()
        self.work_path = runner.limits.work_root / claim.attempt.key()
        self.key: CacheKey | None = None
        self.process: AgentProcess | None = None
        self.device_lease: DeviceLease | None = None
        self._said = 0
        self.lease = Lease(claim.attempt, timeout_s=node.timeout_s, on_stop=self._on_stop)

    def _is_heavy(self) -> bool:
        try:
            return load_agent(self.entry.path).heavy
        except InvalidSpec:
            # `work` says so, under the attempt's lease.
            return False

    def work(self) -> tuple[NodeEvent, list[tuple[str, ...]]]:
        """Return how the attempt ended and what else is to be written with it.

        Raises:
            Fenced: the lease was lost on the way.
        """
        cached: dict[str, Any] | None = None
        note: dict[str, Any] | None = None
        try:
            self._check_known()
            context = self._context()
            cached, note = self._from_cache(context)
            outcome = Outcome(output=cached) if cached is not None else self._run(context)
        except TunelineError as fault:
            outcome = Outcome(error=fault.as_record(), retryable=fault.retryable)
        except RedisError:
            raise
        except Exception as fault:
            # Unreported, the node would look like one that kills its workers, and be tried again and again.
            log.exception("attempt_failed", job=self.message.job, node=self.node.name)
            outcome = Outcome(error=unforeseen(fault, self.node.name, self.work_path).as_record())
        finally:
            if self.work_path.exists():
                shutil.rmtree(self.work_path, ignore_errors=True)
        if self.lease.stop_reason == "lost":
            raise Fenced(f"Attempt {self.message.attempt} at '{self.node.name}' lost its lease.")
        return self._event(outcome, note, cached is not None), self._extra(outcome)

    # -- before ------------------------------------------------------------------------------

    def _check_known(self) -> None:
        if self.entry is UNKNOWN_AGENT:
            raise InvalidSpec(
                f"The worker '{self.runner.worker}' knows no agent '{self.node.agent}'.",
                cure="Set TUNELINE_AGENTS for the workers as for the API.",
            )

    def _context(self) -> AttemptContext:
        runner, message, node = self.runner, self.message, self.node
        model = node.config.get("model_name") or self.plan.name
        return AttemptContext(
            job_id=message.job,
            pipeline=self.plan.name,
            node=node.name,
            attempt=message.attempt,
            inputs=tuple(
                Input(node=name, agent=self.plan.nodes[name].stands_for or self.plan.nodes[name].agent, output=output)
                for name, output in zip(message.inputs, self.claim.outputs, strict=True)
            ),
            objects=runner.objects,
            sources=runner.sources,
            work_path=self.work_path,
            emit=self._emit,
            wanted_stop=self.lease.stop_wanted,
            checkpoint_prefixes=checkpoint_prefixes(self._lineage(), node),
            champion=runner.registry.champion(model) if node.reads_champion else None,
            version=runner.registry.reserve(model, message.job, node) if node.makes_version else None,
            attempt_notes=self.claim.notes,
        )

    def _lineage(self) -> Iterator[str]:
        yield self.message.job
        older = self.claim.retry_of
        while older is not None:
            yield older
            try:
                older = self.runner.state.head(older).retry_of
            except NotFound:
                # Housekeeping has forgotten it.
                return

    def _from_cache(self, context: AttemptContext) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        if not self.node.cache:
            return None, {"hit": False, "reason": "switched off"}
        sources = self.runner.sources
        self.key = cache_key(self.node, self.entry, context.inputs, sources, context.champion, self.plan.name)
        if self.key is None:
            return None, None
        found, reason = self.runner.cache.find(self.plan.name, self.node, self.key)
        if found and self.node.makes_version and not self._version_exists(found):
            return None, {"hit": False, "reason": f"version {found['version']} was deleted"}
        return found, {"hit": found is not None, "reason": reason}

    def _version_exists(self, output: dict[str, Any]) -> bool:
        return self.runner.registry.is_complete(output["model_name"], output["version"])

    # -- the agent ---------------------------------------------------------------------------

    def _run(self, context: AttemptContext) -> Outcome:
        if self.heavy:
            return self._run_apart(context)
        with interruptible():
            try:
                return run_agent(self.entry.path, self.node.config, context)
            except StopRequested as stop:
                return Outcome(stopped=stop.kind)

    def _run_apart(self, context: AttemptContext) -> Outcome:
        """Run a heavy agent in a process of its own, on what devices there are for it."""
        self.device_lease = device_lease = patiently(lambda: self._lend(context))
        if stop := self.lease.stop_wanted():
            return Outcome(stopped=stop)
        environment: dict[str, str] = {}
        if device_lease is not None:
            context, environment = replace(context, device_mib=device_lease.mib), device_lease.environment
        grace_s = self.runner.limits.stop_grace_s
        self.process = AgentProcess(self.entry.path, self.node.config, context, grace_s, environment)
        if self.lease.stop_reason:
            self._on_stop(self.lease.stop_reason)
        return self.process.run()

    def _lend(self, context: AttemptContext) -> DeviceLease | None:
        def say(event: str, *, level: str = "info", **fields: Any) -> None:
            self._emit({"kind": "log", "level": level, "event": event, "fields": fields})

        return self.runner.devices.lend(
            self.claim.attempt,
            lambda: device_need(self.entry.path, self.node.config, context),
            say=say,
            stopped=lambda: self.lease.stop_reason is not None,
        )

    def _emit(self, record: dict[str, Any]) -> None:
        self._said += 1
        number, attempt = self._said, self.claim.attempt
        patiently(lambda: self.runner.logs.append(attempt, self.node.name, number, record))

    def _on_stop(self, reason: Reason) -> None:
        """Called from the keeper's thread."""
        if self.process is not None:
            self.process.ask_to_stop("cancel" if reason == "cancel" else "pause", kill=reason == "lost")
        elif not self.heavy and reason != "handed_back":
            timer = threading.Timer(self.runner.limits.stop_grace_s, interrupt, (self.lease,))
            timer.daemon = True
            timer.start()

    # -- after -------------------------------------------------------------------------------

    def _event(self, outcome: Outcome, note: dict[str, Any] | None, cached: bool) -> NodeEvent:
        name, attempt = self.node.name, self.message.attempt
        if outcome.output is not None:
            return Completed(name, attempt, outcome.output, cache=note, cached=cached)
        if outcome.stopped and self.lease.stop_reason != "timed_out":
            return Stopped(name, attempt)
        if outcome.stopped:
            outcome = Outcome(error=self._too_long().as_record(), retryable=True)
        error = outcome.error or AgentFailed(f"'{name}' ended without an output.").as_record()
        return self.runner.orchestrator.failure(name, attempt, error, outcome.retryable, outcome.notes)

    def _too_long(self) -> TimedOut:
        return TimedOut(
            f"'{self.node.name}' ran longer than its timeout of {self.node.timeout_s:g} s.",
            cure=f"Raise nodes.{self.node.name}.timeout, or make its work smaller.",
        )

    def _extra(self, outcome: Outcome) -> list[tuple[str, ...]]:
        commands = self.device_lease.commands(self.claim.attempt) if self.device_lease else []
        if outcome.output is None:
            return commands
        if self.key is not None:
            commands += StepCache.store_commands(self.plan.name, self.node, self.message.job, self.key, outcome.output)
        if self.node.makes_version:
            commands += Registry.add_commands(outcome.output["model_name"], outcome.output["version"])
        return commands


def checkpoint_prefixes(jobs: Iterable[str], node: PlannedNode) -> tuple[str, ...]:
    """Return where a node's checkpoints lie, those of its own job first: new ones are written to the first place.

    Older releases wrote them below the node's name; where that can be a key, they are looked for there too.
    """
    numbered = [(f"checkpoints/{job}/{node.number}", f"checkpoints/{job}/{node.name}") for job in jobs]
    older = node.name.isprintable() and all(
        part not in {"", ".", ".."} and len(part.encode()) <= 200 for part in node.name.split("/")
    )
    return tuple(prefix for new, old in numbered for prefix in ((new, old) if older else (new,)))


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
