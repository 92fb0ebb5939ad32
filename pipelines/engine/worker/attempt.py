"""One claimed attempt: ask the step cache, run the agent, say how it ended."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import structlog
from redis import RedisError

from agents import Agent, AgentEntry, load_agent
from agents.base import bucket
from agents.base.errors import AgentFailed, Fenced, InvalidSpec, NotFound, TunelineError
from agents.base.records import Follower, Input
from pipelines.engine.state.cache import CacheKey, StepCache, cache_key
from pipelines.engine.state.job import Completed, NodeEvent, Stopped
from pipelines.engine.state.registry import Registry
from pipelines.engine.state.store import Claim
from pipelines.engine.worker.child import AgentProcess
from pipelines.engine.worker.context import AttemptContext
from pipelines.engine.worker.cures import with_params
from pipelines.engine.worker.devices import DeviceLease
from pipelines.engine.worker.endings import ran_too_long
from pipelines.engine.worker.lease import Lease
from pipelines.engine.worker.patience import patiently
from pipelines.engine.worker.run_agent import Outcome, device_need, run_agent, unforeseen
from pipelines.engine.worker.signals import signals_kept
from pipelines.engine.worker.workplace import Workplace
from pipelines.plan import PlannedNode

log = structlog.get_logger()
UNKNOWN_AGENT = AgentEntry("", "")


class Attempt:
    """What is known while one attempt runs."""

    def __init__(self, workplace: Workplace, claim: Claim, lease: Lease) -> None:
        self.workplace = workplace
        self.claim = claim
        self.lease = lease
        self.message = message = claim.message
        self.plan = workplace.orchestrator.state.plan(message.job)
        self.node = node = self.plan.nodes[message.node]
        self.entry = workplace.orchestrator.agents.get(node.agent, UNKNOWN_AGENT)
        self.heavy = False
        """Whether its agent runs in a process of its own; known once the agent's class is loaded."""
        self.work_path = workplace.limits.work_root / claim.attempt.key()
        self.key: CacheKey | None = None
        self.device_lease: DeviceLease | None = None
        self._said = 0

    def work(self) -> tuple[NodeEvent, list[tuple[str, ...]]]:
        """Return how the attempt ended and what else is to be written with it.

        Raises:
            Fenced: the lease was lost on the way.
        """
        cached: dict[str, Any] | None = None
        note: dict[str, Any] | None = None
        try:
            self.heavy = self._agent().heavy
            context = self._context()
            cached, note = self._from_cache(context)
            outcome = Outcome(output=cached) if cached is not None else self._run(context)
        except TunelineError as fault:
            outcome = Outcome(error=fault.as_record(), retryable=fault.retryable)
        except RedisError:
            raise
        except BaseException as fault:
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

    def _agent(self) -> type[Agent[Any, Any]]:
        if self.entry is UNKNOWN_AGENT:
            raise InvalidSpec(
                f"The worker '{self.workplace.worker}' knows no agent '{self.node.agent}'.",
                cure="Set TUNELINE_AGENTS for the workers as for the API.",
            )
        return load_agent(self.entry.path)

    def _context(self) -> AttemptContext:
        workplace, message, node = self.workplace, self.message, self.node
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
            objects=workplace.objects,
            sources=workplace.sources,
            work_path=self.work_path,
            emit=self._emit,
            wanted_stop=self.lease.stop_wanted,
            checkpoint_prefixes=checkpoint_prefixes(self._lineage(), node),
            champion=workplace.registry.champion(model) if node.reads_champion else None,
            version=workplace.registry.reserve(model, message.job, node) if node.makes_version else None,
            attempt_notes=self.claim.notes,
            followers=tuple(
                Follower(node=name, agent=after.stands_for or after.agent, config=after.config)
                for name, after in ((name, self.plan.nodes[name]) for name in self.plan.descendants(node.name))
            ),
        )

    def _lineage(self) -> Iterator[str]:
        yield self.message.job
        older = self.claim.retry_of
        while older is not None:
            yield older
            try:
                older = self.workplace.orchestrator.state.head(older).retry_of
            except NotFound:
                # Housekeeping has forgotten it.
                return

    def _from_cache(self, context: AttemptContext) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        if not self.node.cache:
            return None, {"hit": False, "reason": "switched off"}
        sources = self.workplace.sources
        self.key = cache_key(self.node, self.entry, context.inputs, sources, context.champion, self.plan.name)
        if self.key is None:
            return None, None
        found, reason = self.workplace.cache.find(self.plan.name, self.node, self.key)
        if found and self.node.makes_version and not self._version_exists(found):
            return None, {"hit": False, "reason": f"version {found['version']} was deleted"}
        return found, {"hit": found is not None, "reason": reason}

    def _version_exists(self, output: dict[str, Any]) -> bool:
        return self.workplace.registry.is_complete(output["model_name"], output["version"])

    # -- the agent ---------------------------------------------------------------------------

    def _run(self, context: AttemptContext) -> Outcome:
        if self.heavy:
            return self._run_apart(context)
        with signals_kept():
            return run_agent(self.entry.path, self.node.config, context)

    def _run_apart(self, context: AttemptContext) -> Outcome:
        """Run a heavy agent in a process of its own, on what devices there are for it."""
        self.device_lease = device_lease = patiently(lambda: self._lend(context))
        if stop := self.lease.stop_wanted():
            return Outcome(stopped=stop)
        environment: dict[str, str] = {}
        if device_lease is not None:
            context, environment = replace(context, device_mib=device_lease.mib), device_lease.environment
        grace_s = self.workplace.limits.stop_grace_s
        with self.lease.apart():
            return AgentProcess(self.entry.path, self.node.config, context, self.lease, grace_s, environment).run()

    def _lend(self, context: AttemptContext) -> DeviceLease | None:
        def say(event: str, *, level: str = "info", **fields: Any) -> None:
            self._emit({"kind": "log", "level": level, "event": event, "fields": fields})

        return self.workplace.devices.lend(
            self.claim.attempt,
            lambda: device_need(self.entry.path, self.node.config, context),
            say=say,
            stopped=lambda: self.lease.stop_reason is not None,
        )

    def _emit(self, record: dict[str, Any]) -> None:
        self._said += 1
        number, attempt = self._said, self.claim.attempt
        patiently(lambda: self.workplace.logs.append(attempt, self.node.name, number, record))

    # -- after -------------------------------------------------------------------------------

    def _event(self, outcome: Outcome, note: dict[str, Any] | None, cached: bool) -> NodeEvent:
        name, attempt = self.node.name, self.message.attempt
        if outcome.output is not None:
            return Completed(name, attempt, outcome.output, cache=note, cached=cached)
        if outcome.stopped and self.lease.stop_reason != "timed_out":
            return Stopped(name, attempt)
        if outcome.stopped:
            outcome = Outcome(error=ran_too_long(self.node).as_record(), retryable=True)
        error = outcome.error or AgentFailed(f"'{name}' ended without an output.").as_record()
        error = with_params(error, self.node, self.plan)
        return self.workplace.orchestrator.failure(name, attempt, error, outcome.retryable, outcome.notes)

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
    numbered = [
        (bucket.checkpoint_prefix(job, str(node.number)), bucket.checkpoint_prefix(job, node.name)) for job in jobs
    ]
    older = node.name.isprintable() and all(
        part not in {"", ".", ".."} and len(part.encode()) <= 200 for part in node.name.split("/")
    )
    return tuple(prefix for new, old in numbered for prefix in ((new, old) if older else (new,)))
