"""The fleet: queues and their workers, health, metrics."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from agents import QUEUES
from agents.base.errors import InvalidRequest, NotFound
from app.api.dependencies import FleetDep, QueueWorkersMostDep, ServerFaultsDep, WarningsDep
from app.api.schemas.fleet import (
    FleetView,
    HealthView,
    HostView,
    QueuesView,
    QueueView,
    QueueWanted,
    SetAsideView,
    WorkersBody,
    WorkerView,
)
from app.door.guard import CALLER
from app.http import NOT_TOLD, PrometheusText
from app.openapi import faults

router = APIRouter(tags=["fleet"])


@router.get("/queues", summary="List the queues")
def list_queues(fleet: FleetDep) -> QueuesView:
    """Show each queue: messages that wait, workers that listen, workers wanted."""
    return QueuesView(queues=[QueueView(**asdict(queue)) for queue in fleet.queues(QUEUES)])


@router.put("/queues/{name}", summary="Set the workers of a queue", responses=faults(NotFound, InvalidRequest))
def scale_queue(
    name: Annotated[str, Path(description="The queue's name.", examples=["training"])],
    body: WorkersBody,
    fleet: FleetDep,
    workers_most: QueueWorkersMostDep,
) -> QueueWanted:
    """Set how many workers a queue is to have; every fleet (`tuneline up`, `tuneline worker`) follows in seconds."""
    known = [queue.name for queue in fleet.queues(QUEUES)]
    if name not in known:
        raise NotFound(
            f"There is no queue '{name}'.",
            cure=f"There are: {', '.join(known)}. `tuneline worker --queue NAME` starts another.",
        )
    if body.workers > workers_most:
        raise InvalidRequest(
            f"{body.workers} workers are more than a queue may have on a host, which is {workers_most}.",
            cure="Ask for fewer, or have the operator raise TUNELINE_QUEUE_WORKERS_MOST.",
        )
    fleet.want(name, body.workers)
    return QueueWanted(name=name, workers=body.workers)


@router.get("/workers", summary="List the workers")
def list_workers(fleet: FleetDep) -> FleetView:
    """Show the living workers with the attempts they run, and their hosts' devices with what is reserved of them."""
    living = fleet.workers()
    hosts = fleet.hosts(sorted({worker.host for worker in living}))
    return FleetView(
        workers=[WorkerView.model_validate(asdict(worker)) for worker in living],
        hosts=[HostView.model_validate(asdict(host)) for host in hosts],
    )


@router.get(
    "/health",
    summary="Check the health of the API",
    responses={503: {"model": HealthView, "description": "Redis or the object store doesn't answer."}},
)
def get_health(
    request: Request, server_faults: ServerFaultsDep, warnings: WarningsDep, fleet: FleetDep, response: Response
) -> HealthView:
    """Check within some 2 s that Redis and the object store answer and work; 503 where one doesn't.

    `degraded`: they do, but `warnings` says what else is wrong (sweeps fail, Redis lost data), or something was set
    aside that could not be handled, such as a foreign message in a queue; `set_aside` lists it.
    Without the key it says only which server does not answer, and lists nothing.
    """
    found = server_faults()
    ok = not any(found.values())
    response.status_code = 200 if ok else 503
    aside, told = ([], []) if found["redis"] else (fleet.set_aside(), warnings())
    known = request.scope[CALLER] is not None
    return HealthView(
        status=("degraded" if aside or told else "ok") if ok else "unavailable",
        version=version("tuneline"),
        checks={name: (fault if known else NOT_TOLD) if fault else "ok" for name, fault in found.items()},
        warnings=told if known else [],
        set_aside=[SetAsideView(**asdict(each)) for each in aside if known],
    )


@router.get("/metrics", summary="Read the metrics of the engine", response_class=PrometheusText)
def get_metrics(fleet: FleetDep) -> Response:
    """Return metrics of queues, workers and jobs for Prometheus."""
    registry = CollectorRegistry()
    waiting = Gauge("tuneline_queue_messages", "Messages that wait", ["queue"], registry=registry)
    listening = Gauge("tuneline_queue_workers", "Workers that listen", ["queue"], registry=registry)
    for queue in fleet.queues(QUEUES):
        waiting.labels(queue.name).set(queue.messages)
        listening.labels(queue.name).set(queue.workers)
    counts = fleet.counts()
    leases = Gauge("tuneline_attempts_running", "Attempts that hold a lease", registry=registry)
    leases.set(counts.attempts_running)
    jobs = Gauge("tuneline_jobs", "Jobs that were submitted and are kept", registry=registry)
    jobs.set(counts.jobs)
    return PrometheusText(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
