"""Wiring: settings in, connected parts out. The one place that builds anything."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import redis
import redis.asyncio
import structlog
from redis.backoff import NoBackoff

from agents import AGENTS, AgentEntry
from agents.base.errors import InvalidRequest, NotAllowed
from agents.base.object_store import ObjectStore
from agents.base.row_budget import RowBudget
from agents.base.source_uri import SOURCE_PACKAGES
from agents.base.sources import Sources
from agents.base.system import total_memory_bytes
from app.keys import check_strength, is_loopback
from app.probing import PROBE_TIMEOUT_S, Probes
from app.settings import Settings
from app.stack_file import stack, store_keys
from pipelines.caps import Caps
from pipelines.engine.orchestrator import Orchestrator
from pipelines.engine.state.fleet import FleetState
from pipelines.engine.state.installation import Installation
from pipelines.engine.state.job_index import JobIndex
from pipelines.engine.state.logs import Logs
from pipelines.engine.state.prefix import keeping_to, keeping_to_async
from pipelines.engine.state.redis_client import connect
from pipelines.engine.state.redis_faults import place_of, redis_error
from pipelines.engine.state.registry import Registry
from pipelines.engine.state.rights import require_rights
from pipelines.engine.state.store import JobStore
from pipelines.engine.upkeep.housekeeping import Housekeeper, Retention
from pipelines.engine.upkeep.sweeper import Sweeper
from pipelines.engine.worker import nvidia
from pipelines.engine.worker.devices import Device, DevicePool, Probe
from pipelines.engine.worker.runner import AttemptRunner
from pipelines.engine.worker.slot import AttemptSlot
from pipelines.engine.worker.workplace import Limits

log = structlog.get_logger()
#: How long the object store may be silent in an answer, to a worker and to a request, whose caller waits; and how long
#: one that is away is tried again by who is not patient.
STORE_TIMEOUT_S, STORE_REQUEST_TIMEOUT_S, STORE_PATIENCE_S = 30.0, 10.0, 0.6
#: Looking an answer up for longer than this costs more than asking the model.
ANSWER_TIMEOUT_S = 0.1
#: Of this host's memory: what a light agent may hold where no setting says so.
LIGHT_SHARE = 0.75


def probe_devices() -> list[Device] | None:
    """Return the devices that this process may use; None where no tool can list them."""
    return nvidia.probe(os.environ.get("CUDA_VISIBLE_DEVICES"))


@dataclass(frozen=True)
class Parts:
    """Everything connected, built when it is first asked for."""

    settings: Settings
    patient: bool = False
    """In workers: wait for servers that are away or silent instead of failing at once."""
    store_timeout_s: float = STORE_TIMEOUT_S
    """How long the object store may be silent in an answer."""
    probe: Probe = probe_devices
    """Looks at this host's devices."""
    redis_retries: int = 3

    @cached_property
    def redis_url(self) -> str:
        return self.settings.redis_url or stack(self.settings)["redis_url"]

    @property
    def key_prefix(self) -> str:
        """What stands before every key in Redis, RQ's too."""
        return f"{self.settings.redis_prefix}:" if self.settings.redis_prefix else ""

    @cached_property
    def connection(self) -> "redis.Redis":
        """The Redis connection; a lost one is made again, with a few tries before an error is raised."""
        return self._connected(self.settings.redis_timeout_s, self.redis_retries)

    def _connected(self, timeout_s: float, tries: int) -> "redis.Redis":
        made = connect(self.redis_url, timeout_s=timeout_s, tries=tries, wait_for_silent=self.patient)
        return keeping_to(self.key_prefix, made)

    @cached_property
    def answer_connection(self) -> "redis.asyncio.Redis | None":
        """The connection of serving's answer cache, None where that is off. One that is slow is none: no retries."""
        if not self.settings.answer_cache:
            return None
        made = redis.asyncio.Redis.from_url(
            self.redis_url,
            socket_connect_timeout=ANSWER_TIMEOUT_S,
            socket_timeout=ANSWER_TIMEOUT_S,
            retry=redis.asyncio.retry.Retry(NoBackoff(), retries=0),
        )
        return keeping_to_async(self.key_prefix, made)

    @cached_property
    def objects(self) -> ObjectStore:
        return self._store(self.store_timeout_s, self.settings.s3_patience_s if self.patient else STORE_PATIENCE_S)

    def _store(self, timeout_s: float, patience_s: float) -> ObjectStore:
        settings = self.settings
        access_key, secret_key = store_keys(settings)
        return ObjectStore(
            settings.s3_endpoint_url or stack(settings)["s3_endpoint_url"],
            access_key,
            secret_key,
            settings.s3_bucket,
            region=settings.s3_region,
            timeout_s=timeout_s,
            patience_s=patience_s,
        )

    @cached_property
    def installation(self) -> Installation:
        return Installation(self.connection, self.objects)

    @cached_property
    def sources(self) -> Sources:
        return build_sources(self.settings, self.objects)

    @cached_property
    def agents(self) -> dict[str, AgentEntry]:
        return {**AGENTS, **extra_agents(self.settings.agents)}

    @cached_property
    def state(self) -> JobStore:
        settings = self.settings
        return JobStore(
            self.connection,
            lease_ttl_s=settings.lease_ttl_s,
            log_max_entries=settings.log_max_entries,
            queue_share=settings.queue_share,
        )

    @cached_property
    def job_index(self) -> JobIndex:
        return JobIndex(self.state)

    @cached_property
    def fleet(self) -> FleetState:
        return FleetState(self.state)

    @cached_property
    def orchestrator(self) -> Orchestrator:
        caps = Caps(**{cap.name: getattr(self.settings, cap.name) for cap in fields(Caps)})
        return Orchestrator(self.state, self.agents, caps)

    @cached_property
    def logs(self) -> Logs:
        return Logs(self.connection, self.objects, max_entries=self.settings.log_max_entries)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.connection, self.objects)

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.orchestrator, self.logs, self.registry, lease_ttl_s=self.settings.lease_ttl_s)

    @cached_property
    def housekeeper(self) -> Housekeeper:
        settings = self.settings
        days = (settings.keep_jobs_days, settings.keep_live_logs_days, settings.keep_checkpoints_days)
        return Housekeeper(self.state, self.logs, self.objects, Retention(*(86400 * number for number in days)))

    @cached_property
    def devices(self) -> DevicePool:
        """The devices of this host."""
        settings = self.settings
        return DevicePool(
            self.connection,
            socket.gethostname(),
            self.probe,
            wait_s=settings.device_wait_s,
            default_mib=settings.device_mib_default,
        )

    def limits(self, worker: str) -> Limits:
        """Return what bounds the attempts of a worker."""
        settings = self.settings
        light_mib = settings.light_memory_mib
        return Limits(
            settings.lease_ttl_s,
            settings.lease_renew_s,
            settings.stop_grace_s,
            work_root(settings) / worker,
            light_mib << 20 if light_mib else int(total_memory_bytes() * LIGHT_SHARE),
        )

    def runner(self, worker: str, slot: AttemptSlot) -> AttemptRunner:
        """Return what runs attempts in a worker's process; what it runs stands in `slot`."""
        return AttemptRunner(
            worker,
            self.orchestrator,
            self.logs,
            self.registry,
            self.objects,
            self.sources,
            self.limits(worker),
            self.devices,
            slot,
        )

    def server_faults(self) -> dict[str, str | None]:
        """Return what is wrong with each server that Tuneline needs, within about 2 s; None: it answers."""
        return self._probes.faults()

    @cached_property
    def _probes(self) -> Probes:
        return Probes(lambda: self._connected(PROBE_TIMEOUT_S, 0), self._store)

    def warnings(self) -> list[str]:
        """Return what else is wrong while Redis answers: sweeps of this process that fail, and data that Redis lost."""
        standing = self.installation.known_standing()
        return [*filter(None, [self.sweeper.trouble(), None if standing.kind == "sound" else str(standing)])]

    def check(self) -> None:
        """See that both servers answer and allow what is needed, and that the bucket is there and is ours.

        Raises:
            Unavailable: one doesn't; the message names it and its setting.
            Conflict: Redis and the bucket belong to two installations.
        """
        self.check_servers()
        try:
            self.installation.require_bucket()
            self.objects.create_bucket()
            standing = self.installation.look()
        except redis.RedisError as fault:
            raise redis_error(fault, place_of(self.connection)) from fault
        if standing.kind == "foreign":
            raise standing.error()
        if standing.kind == "lost":
            log.error("registry_not_sound", message=str(standing))

    def check_servers(self) -> None:
        """See that both servers answer, and that Redis allows what is needed.

        Raises:
            Unavailable: one doesn't.
        """
        require_rights(self.connection, place_of(self.connection))
        self.objects.has_bucket()


def build_parts(
    settings: Settings, *, patient: bool = False, redis_retries: int = 3, store_timeout_s: float = STORE_TIMEOUT_S
) -> Parts:
    """Return the parts for these settings, for a worker with `patient`; nothing is connected yet."""
    return Parts(settings, patient, store_timeout_s, redis_retries=redis_retries)


def build_sources(settings: Settings, objects: ObjectStore) -> Sources:
    """Return what resolves URIs on this host."""
    roots = tuple(root.resolve() for root in settings.data_roots)
    state = settings.state_dir.resolve()
    return Sources(
        objects,
        roots,
        state / "cache",
        (state, *_history_files(settings)),
        (*SOURCE_PACKAGES, *settings.source_packages),
        row_budget(settings),
    )


def _history_files(settings: Settings) -> list[Path]:
    """Return the files of a history in SQLite that lies elsewhere than in the state folder."""
    scheme, found, path = (settings.history_url or "").partition(":///")
    if not found or not scheme.startswith("sqlite") or not path:
        return []
    file = Path(path.partition("?")[0]).resolve()
    return [file.with_name(f"{file.name}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]


def row_budget(settings: Settings) -> RowBudget:
    """Return what a file of rows may hold on this host."""
    return RowBudget(
        unpacked_ratio=settings.rows_unpacked_ratio,
        memory_mib=settings.rows_memory_mib,
        columns=settings.rows_columns_most,
        cell_mib=settings.rows_cell_mib,
    )


def extra_agents(written: Mapping[str, str]) -> dict[str, AgentEntry]:
    """Return a user's own agents: `name -> module:Class@queue`.

    Raises:
        InvalidRequest: one is not written so.
    """
    entries = {}
    for name, place in written.items():
        path, _, queue = place.partition("@")
        if ":" not in path:
            raise InvalidRequest(f"TUNELINE_AGENTS: '{name}={place}' is not name=module:Class@queue.")
        entries[name] = AgentEntry(path, queue or "default")
    return entries


def require_key_beyond_loopback(host: str, settings: Settings) -> None:
    """Refuse to listen on the network without a good key.

    Raises:
        NotAllowed: `host` is not a loopback address, and no key is set or one that can be guessed.
    """
    if is_loopback(host):
        return
    if settings.api_key is None:
        raise NotAllowed(
            f"Listening on {host} opens Tuneline to the network, and no key is set.",
            cure="Set TUNELINE_API_KEY (`openssl rand -hex 32` prints a good one), or use 127.0.0.1.",
        )
    check_strength(settings.api_key.get_secret_value())


def work_root(settings: Settings) -> Path:
    """Return where the workers of this host have a folder each."""
    return settings.state_dir.resolve() / "work"


def worker_name() -> str:
    """Name this process among all workers."""
    return f"{socket.gethostname()}-{os.getpid()}"
