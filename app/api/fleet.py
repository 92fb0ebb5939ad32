"""The fleet: queues and their workers, health, metrics."""

import json
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from agents import QUEUES
from agents.base.errors import NotFound
from app.api.dependencies import ServerFaultsDep, StateDep
from app.api.schemas.fleet import (
    FleetView,
    HealthView,
    HostView,
    QueuesView,
    QueueView,
    QueueWanted,
    WorkersBody,
    WorkerView,
)
from app.http import Figures
from app.openapi import faults
from pipelines.engine import keys
from pipelines.engine.devices import reported
from pipelines.engine.run_state import RunState

router = APIRouter(tags=["fleet"])


@router.get("/queues", summary="List the queues")
def list_queues(state: StateDep) -> QueuesView:
    """Show each queue: messages that wait, workers that listen, workers wanted."""
    return QueuesView(queues=_queues(state))


@router.put("/queues/{name}", summary="Set the workers of a queue", responses=faults(NotFound))
def scale_queue(
    name: Annotated[str, Path(description="The queue's name.", examples=["training"])],
    body: WorkersBody,
    state: StateDep,
) -> QueueWanted:
    """Say how many workers a queue shall have; every fleet (`tuneline up`, `tuneline worker`) follows in seconds."""
    known = [queue.name for queue in _queues(state)]
    if name not in known:
        raise NotFound(
            f"There is no queue '{name}'.",
            cure=f"There are: {', '.join(known)}. Another begins with `tuneline worker --queue NAME`.",
        )
    state.connection.hset(keys.FLEET, name, body.workers)
    return QueueWanted(name=name, workers=body.workers)


@router.get("/workers", summary="List the workers")
def list_workers(state: StateDep) -> FleetView:
    """Show the living workers with the attempts they run, and their hosts' devices with what is reserved of them."""
    running: dict[str, list[str]] = {}
    for lease in state.connection.zrange(keys.LEASES, 0, -1):
        job, node, _ = lease.decode().split("|")
        found = state.connection.hget(keys.state(job), f"node:{node}")
        running.setdefault(json.loads(found).get("worker", "") if found else "", []).append(f"{job}/{node}")
    living = state.queues.workers()
    hosts = reported(state.connection, sorted({worker["host"] for worker in living}))
    return FleetView(
        workers=[_worker(worker, running.get(worker["name"], [])) for worker in living],
        hosts=[HostView.model_validate(host) for host in hosts],
    )


@router.get(
    "/health",
    summary="Check the health of the API",
    responses={503: {"model": HealthView, "description": "Redis or the object store doesn't answer."}},
)
def get_health(server_faults: ServerFaultsDep, response: Response) -> HealthView:
    """Say whether Redis and the object store answer; 503 where one doesn't."""
    found = server_faults()
    ok = not any(found.values())
    response.status_code = 200 if ok else 503
    checks = {name: fault or "ok" for name, fault in found.items()}
    return HealthView(status="ok" if ok else "unavailable", version=version("tuneline"), checks=checks)


@router.get("/metrics", summary="Read the figures of the engine", response_class=Figures)
def get_metrics(state: StateDep) -> Response:
    """Return figures of queues, workers and jobs for Prometheus."""
    registry = CollectorRegistry()
    waiting = Gauge("tuneline_queue_messages", "Messages that wait", ["queue"], registry=registry)
    listening = Gauge("tuneline_queue_workers", "Workers that listen", ["queue"], registry=registry)
    for queue in _queues(state):
        waiting.labels(queue.name).set(queue.messages)
        listening.labels(queue.name).set(queue.workers)
    leases = Gauge("tuneline_attempts_running", "Attempts that hold a lease", registry=registry)
    leases.set(state.connection.zcard(keys.LEASES))
    jobs = Gauge("tuneline_jobs", "Jobs that were submitted and are kept", registry=registry)
    jobs.set(state.connection.zcard(keys.JOBS))
    return Figures(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _worker(worker: dict[str, Any], runs: list[str]) -> WorkerView:
    return WorkerView(**worker, state="busy" if runs else "idle", runs=runs)


def _queues(state: RunState) -> list[QueueView]:
    lengths = state.queues.lengths()
    wanted = {name.decode(): int(count) for name, count in state.connection.hgetall(keys.FLEET).items()}
    listeners = [queue for worker in state.queues.workers() for queue in worker["queues"]]
    return [
        QueueView(
            name=name,
            messages=lengths.get(name, 0),
            workers=listeners.count(name),
            workers_wanted=wanted.get(name),
        )
        for name in dict.fromkeys((*QUEUES, *sorted(lengths), *sorted(wanted), *sorted(listeners)))
    ]
