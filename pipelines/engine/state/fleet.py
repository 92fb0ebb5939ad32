"""What there is of queues, workers, hosts and work: read for people, and the one thing they set, how many workers."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from agents.base.identifiers import is_name
from pipelines.engine.state import keys
from pipelines.engine.state.job_reader import as_state, node_field
from pipelines.engine.state.queue import ListeningWorker
from pipelines.engine.state.set_aside import SetAside, all_set_aside
from pipelines.engine.state.store import JobStore


@dataclass(frozen=True, slots=True)
class QueueOverview:
    """One queue."""

    name: str
    messages: int
    """Messages that wait."""
    workers: int
    """Workers that listen."""
    workers_wanted: int | None
    """What somebody has asked for; None: nobody has."""


@dataclass(frozen=True, slots=True)
class WorkerOverview:
    """One living worker, and what it runs: `job/node` each."""

    name: str
    queues: tuple[str, ...]
    host: str
    pid: int
    state: str
    """`busy` or `idle`."""
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an attempt has reserved of a device; `run` is `job/node`."""

    run: str
    attempt: int
    mib: int


@dataclass(frozen=True, slots=True)
class DeviceOverview:
    """One device as its host saw it last, with the reservations that count now."""

    index: int
    uuid: str
    name: str
    total_mib: int
    free_mib: int
    reserved_mib: int
    reservations: tuple[Reservation, ...]


@dataclass(frozen=True, slots=True)
class HostOverview:
    """One host's devices."""

    host: str
    devices: tuple[DeviceOverview, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Figures of the whole engine."""

    attempts_running: int
    jobs: int


class FleetState:
    """All of it is in Redis; nothing is kept here."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._connection = store.connection

    def queues(self, own: Sequence[str]) -> list[QueueOverview]:
        """Return the queues `own`, then the others that have messages, workers or a number of workers set."""
        lengths, wanted, listened = self._store.queues.lengths(), self.wanted(), self._store.queues.listened()
        waiting = (name for name, messages in lengths.items() if messages)
        names = dict.fromkeys((*own, *sorted(waiting), *sorted(wanted), *sorted(listened)))
        return [QueueOverview(name, lengths.get(name, 0), listened.get(name, 0), wanted.get(name)) for name in names]

    def unattended(self, queues: Collection[str]) -> set[str]:
        """Return those of these queues that no worker listens on."""
        return set(queues).difference(self._store.queues.listened()) if queues else set()

    def wanted(self) -> dict[str, int]:
        """Return how many workers somebody has asked for: queue -> count."""
        found = self._connection.hgetall(keys.FLEET).items()
        named = ((name.decode(errors="replace"), count) for name, count in found if count.isdigit())
        return {name: int(count) for name, count in named if is_name(name)}

    def want(self, queue: str, workers: int) -> None:
        """Ask every fleet for so many workers of a queue."""
        self._connection.hset(keys.FLEET, queue, workers)

    def workers(self) -> list[WorkerOverview]:
        """Return the living workers with the attempts they run."""
        running: dict[str, list[str]] = {}
        for worker, run in self._running():
            running.setdefault(worker, []).append(run)
        return [_overview(worker, tuple(running.get(worker.name, ()))) for worker in self._store.queues.workers()]

    def hosts(self, names: Sequence[str]) -> list[HostOverview]:
        """Return what these hosts said of their devices, without those that said nothing lately."""
        return [
            HostOverview(name, tuple(self._device(device) for device in json.loads(text)))
            for name in names
            if (text := self._connection.get(keys.devices(name)))
        ]

    def counts(self) -> Counts:
        """Return how many attempts run and how many jobs are kept."""
        with self._connection.pipeline(transaction=False) as pipe:
            pipe.zcard(keys.LEASES)
            pipe.zcard(keys.JOBS)
            return Counts(*pipe.execute())

    def set_aside(self) -> list[SetAside]:
        """Return what sweeps could not handle, the oldest first."""
        return all_set_aside(self._connection)

    def _running(self) -> Iterator[tuple[str, str]]:
        """Yield (worker, `job/node`) of all attempts that hold a lease."""
        runs = [run for lease in self._connection.zrange(keys.LEASES, 0, -1) if (run := self._store.run(lease))]
        with self._connection.pipeline(transaction=False) as pipe:
            for attempt, node in runs:
                pipe.hget(keys.state(attempt.job), node_field(node))
            states = pipe.execute()
        for (attempt, node), state in zip(runs, states, strict=True):
            yield (as_state(state).worker or "" if state else ""), f"{attempt.job}/{node}"

    def _device(self, said: dict[str, int | str]) -> DeviceOverview:
        reservations = tuple(sorted(self._reservations(str(said["uuid"])), key=lambda each: each.run))
        reserved_mib = sum(each.mib for each in reservations)
        return DeviceOverview(**said, reserved_mib=reserved_mib, reservations=reservations)  # type: ignore[arg-type]

    def _reservations(self, uuid: str) -> Iterator[Reservation]:
        for lease, record in self._connection.hgetall(keys.device(uuid)).items():
            if self._connection.zscore(keys.LEASES, lease) is not None and (run := self._store.run(lease)):
                attempt, node = run
                yield Reservation(f"{attempt.job}/{node}", attempt.attempt, json.loads(record)["mib"])


def _overview(worker: ListeningWorker, runs: tuple[str, ...]) -> WorkerOverview:
    state = "busy" if runs else "idle"
    return WorkerOverview(worker.name, worker.queues, worker.host, worker.pid, state, runs)
