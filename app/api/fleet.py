"""The fleet: queues and their workers, health, metrics."""

import json
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from redis import RedisError

from agents import QUEUES
from agents.base import bucket
from agents.base.errors import NotFound, TunelineError
from app.api.parts import PartsDep
from app.schemas import WorkersBody
from app.wiring import Parts, redis_unavailable
from pipelines.engine import keys
from pipelines.engine.devices import reported

router = APIRouter(tags=["fleet"])


@router.get("/queues")
def queues(parts: PartsDep) -> dict[str, list[dict[str, Any]]]:
    """Show each queue: messages that wait, workers that listen, workers wanted."""
    return {"queues": _queues(parts)}


@router.put("/queues/{name}")
def scale(name: str, body: WorkersBody, parts: PartsDep) -> dict[str, Any]:
    """Say how many workers a queue shall have; every fleet (`tuneline up`, `tuneline worker`) follows in seconds."""
    known = [queue["name"] for queue in _queues(parts)]
    if name not in known:
        raise NotFound(
            f"There is no queue '{name}'.",
            cure=f"There are: {', '.join(known)}. Another begins with `tuneline worker --queue NAME`.",
        )
    parts.connection.hset(keys.FLEET, name, body.workers)
    return {"name": name, "workers": body.workers}


@router.get("/workers")
def workers(parts: PartsDep) -> dict[str, list[dict[str, Any]]]:
    """Show the living workers with the attempts they run, and their hosts' devices with what is reserved of them."""
    running: dict[str, list[str]] = {}
    for lease in parts.connection.zrange(keys.LEASES, 0, -1):
        job, node, _ = lease.decode().split("|")
        state = parts.connection.hget(keys.state(job), f"node:{node}")
        running.setdefault(json.loads(state).get("worker", "") if state else "", []).append(f"{job}/{node}")
    living = parts.state.queues.workers()
    return {
        "workers": [_worker(worker, running.get(worker["name"], [])) for worker in living],
        "hosts": reported(parts.connection, sorted({worker["host"] for worker in living})),
    }


@router.get("/health")
def health(parts: PartsDep, response: Response) -> dict[str, Any]:
    """Say whether Redis and the object store answer; 503 where one doesn't."""
    checks = {"redis": _redis_fault(parts), "object_store": _store_fault(parts)}
    ok = not any(checks.values())
    response.status_code = 200 if ok else 503
    return {
        "status": "ok" if ok else "unavailable",
        "version": version("tuneline"),
        "checks": {name: fault or "ok" for name, fault in checks.items()},
    }


@router.get("/metrics")
def metrics(parts: PartsDep) -> Response:
    """Return figures of queues, workers and jobs for Prometheus."""
    registry = CollectorRegistry()
    waiting = Gauge("tuneline_queue_messages", "Messages that wait", ["queue"], registry=registry)
    listening = Gauge("tuneline_queue_workers", "Workers that listen", ["queue"], registry=registry)
    for queue in _queues(parts):
        waiting.labels(queue["name"]).set(queue["messages"])
        listening.labels(queue["name"]).set(queue["workers"])
    leases = Gauge("tuneline_attempts_running", "Attempts that hold a lease", registry=registry)
    leases.set(parts.connection.zcard(keys.LEASES))
    jobs = Gauge("tuneline_jobs", "Jobs that were submitted and are kept", registry=registry)
    jobs.set(parts.connection.zcard(keys.JOBS))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _worker(worker: dict[str, Any], runs: list[str]) -> dict[str, Any]:
    return {**worker, "state": "busy" if runs else "idle", "runs": runs}


def _queues(parts: Parts) -> list[dict[str, Any]]:
    lengths = parts.state.queues.lengths()
    wanted = {name.decode(): int(count) for name, count in parts.connection.hgetall(keys.FLEET).items()}
    listeners = [queue for worker in parts.state.queues.workers() for queue in worker["queues"]]
    return [
        {
            "name": name,
            "messages": lengths.get(name, 0),
            "workers": listeners.count(name),
            "workers_wanted": wanted.get(name),
        }
        for name in dict.fromkeys((*QUEUES, *sorted(lengths), *sorted(wanted), *sorted(listeners)))
    ]


def _redis_fault(parts: Parts) -> str | None:
    try:
        parts.connection.ping()
    except RedisError:
        return str(redis_unavailable(parts.redis_url))
    return None


def _store_fault(parts: Parts) -> str | None:
    try:
        parts.objects.size(bucket.HEALTH)
    except TunelineError as fault:
        return str(fault)
    return None
