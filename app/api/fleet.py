"""The fleet: queues and their workers, health, metrics."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from redis import RedisError

from agents import QUEUES
from agents.base.errors import NotFound, TunelineError
from app.api.parts import PartsDep
from app.schemas import WorkersBody
from app.wiring import Parts, redis_unavailable

router = APIRouter(tags=["fleet"])


@router.get("/queues")
def queues(parts: PartsDep) -> dict[str, list[dict[str, Any]]]:
    """Show each queue: messages that wait, workers that listen, workers wanted."""
    return {"queues": [asdict(queue) for queue in parts.fleet.queues(QUEUES)]}


@router.put("/queues/{name}")
def scale(name: str, body: WorkersBody, parts: PartsDep) -> dict[str, Any]:
    """Say how many workers a queue shall have; every fleet (`tuneline up`, `tuneline worker`) follows in seconds."""
    known = [queue.name for queue in parts.fleet.queues(QUEUES)]
    if name not in known:
        raise NotFound(
            f"There is no queue '{name}'.",
            cure=f"There are: {', '.join(known)}. Another begins with `tuneline worker --queue NAME`.",
        )
    parts.fleet.want(name, body.workers)
    return {"name": name, "workers": body.workers}


@router.get("/workers")
def workers(parts: PartsDep) -> dict[str, list[dict[str, Any]]]:
    """Show the living workers with the attempts they run, and their hosts' devices with what is reserved of them."""
    living = parts.fleet.workers()
    hosts = parts.fleet.hosts(sorted({worker.host for worker in living}))
    return {"workers": [asdict(worker) for worker in living], "hosts": [asdict(host) for host in hosts]}


@router.get("/health")
def health(parts: PartsDep, response: Response) -> dict[str, Any]:
    """Say whether Redis and the object store answer; 503 where one doesn't.

    `degraded`: they do, but the sweeper had to set entries aside that it could not handle; `set_aside` lists them.
    """
    checks = {"redis": _redis_fault(parts), "object_store": _store_fault(parts)}
    ok = not any(checks.values())
    response.status_code = 200 if ok else 503
    aside = [] if checks["redis"] else parts.fleet.set_aside()
    return {
        "status": ("degraded" if aside else "ok") if ok else "unavailable",
        "version": version("tuneline"),
        "checks": {name: fault or "ok" for name, fault in checks.items()},
        "set_aside": [asdict(each) for each in aside],
    }


@router.get("/metrics")
def metrics(parts: PartsDep) -> Response:
    """Return figures of queues, workers and jobs for Prometheus."""
    registry = CollectorRegistry()
    waiting = Gauge("tuneline_queue_messages", "Messages that wait", ["queue"], registry=registry)
    listening = Gauge("tuneline_queue_workers", "Workers that listen", ["queue"], registry=registry)
    for queue in parts.fleet.queues(QUEUES):
        waiting.labels(queue.name).set(queue.messages)
        listening.labels(queue.name).set(queue.workers)
    counts = parts.fleet.counts()
    leases = Gauge("tuneline_attempts_running", "Attempts that hold a lease", registry=registry)
    leases.set(counts.attempts_running)
    jobs = Gauge("tuneline_jobs", "Jobs that were submitted and are kept", registry=registry)
    jobs.set(counts.jobs)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _redis_fault(parts: Parts) -> str | None:
    try:
        parts.connection.ping()
    except RedisError:
        return str(redis_unavailable(parts.redis_url))
    return None


def _store_fault(parts: Parts) -> str | None:
    try:
        parts.objects.size("health")
    except TunelineError as fault:
        return str(fault)
    return None
