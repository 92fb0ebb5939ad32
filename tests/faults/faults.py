"""The faults: what is done to a farm while a process stands at the armed moment."""

import contextlib
import os
import signal
from collections.abc import Callable

import psutil

from agents.base.errors import Conflict
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state.queue import message_for
from tests.faults.breakpoints import Moment, let_go
from tests.faults.farm import Farm, alive, log_of, says, until, wait_completed

Fault = Callable[[Farm, str, str, int], None]
"""Takes the farm, the job, the node and the process that stands at the moment; lets it go where it still lives."""


def worker_of(farm: Farm, reached: int) -> int:
    """Return the worker whose attempt is at the moment: the supervisor of the process itself, or of its starter."""
    parent = psutil.Process(reached).ppid()
    if parent in farm.workers:
        return parent
    busy = [pid for pid in farm.workers if _runs_in_child(farm, pid)]
    assert len(busy) == 1
    return busy[0]


def _runs_in_child(farm: Farm, pid: int) -> bool:
    job_ids = farm.parts.state.job_ids(0, 1)
    nodes = farm.parts.state.job(job_ids[0]).nodes.values()
    return any(node.status == "running" and (node.worker or "").endswith(f"-{pid}") for node in nodes)


def kill_worker(farm: Farm, _job: str, _node: str, reached: int) -> None:
    _kill(worker_of(farm, reached))
    let_go(farm.breakpoints)


def kill_child(farm: Farm, _job: str, _node: str, reached: int) -> None:
    _kill(reached)


def kill_both(farm: Farm, _job: str, _node: str, reached: int) -> None:
    _kill(worker_of(farm, reached))
    _kill(reached)


def freeze(farm: Farm, job: str, node: str, reached: int) -> None:
    """SIGSTOP the worker (its agent's process goes on), let the others end the job, then thaw the zombie."""
    _freeze(farm, job, node, farm.family(worker_of(farm, reached)))


def freeze_both(farm: Farm, job: str, node: str, reached: int) -> None:
    _freeze(farm, job, node, [*farm.family(worker_of(farm, reached)), reached])


def terminate(farm: Farm, _job: str, _node: str, reached: int) -> None:
    os.kill(worker_of(farm, reached), signal.SIGTERM)
    let_go(farm.breakpoints)


def redis_restarts(farm: Farm, _job: str, _node: str, _reached: int) -> None:
    farm.restart_valkey()
    let_go(farm.breakpoints)


def redis_away(farm: Farm, _job: str, _node: str, _reached: int) -> None:
    """Redis goes away and the process goes on meanwhile."""
    farm.valkey.process.kill()
    let_go(farm.breakpoints)
    farm.restart_valkey(away_s=1.0)


def store_away(farm: Farm, _job: str, _node: str, _reached: int) -> None:
    farm.s3.process.kill()
    let_go(farm.breakpoints)
    farm.restart_s3(away_s=1.0)


def deliver_twice(farm: Farm, job: str, node: str, _reached: int) -> None:
    state = farm.parts.state
    planned, attempt = state.plan(job).nodes[node], state.job(job).nodes[node].attempt
    with state.connection.pipeline() as pipe:
        again = AttemptId(job, planned.number, attempt)
        state.queues.send(planned.queue, [(again.key(), message_for(again, planned))], pipe)
        pipe.execute()
    let_go(farm.breakpoints)


def pause_and_resume(farm: Farm, job: str, _node: str, _reached: int) -> None:
    # Struck after the export's report the job is over already.
    with contextlib.suppress(Conflict):
        farm.parts.orchestrator.stop(job, "pause")
    let_go(farm.breakpoints)
    until(lambda: farm.parts.state.head(job).status in {"paused", "completed"}, "the job never paused")
    if farm.parts.state.head(job).status == "paused":
        farm.parts.orchestrator.resume(job)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), f"process {pid} still runs")


def _freeze(farm: Farm, job: str, node: str, pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    let_go(farm.breakpoints)
    wait_completed(farm, job)
    records, said = len(log_of(farm.parts, job)), len(farm.log)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    if says(farm, job, "worker_lost"):
        until(lambda: "attempt_refused" in farm.log[said:], "the thawed worker was not refused")
    assert len(log_of(farm.parts, job)) == records, f"the thawed worker wrote to the log of {node}"


PROCESS_FAULTS: dict[str, Fault] = {
    "kill_worker": kill_worker,
    "freeze": freeze,
    "terminate": terminate,
    "redis_restarts": redis_restarts,
    "redis_away": redis_away,
    "store_away": store_away,
    "deliver_twice": deliver_twice,
    "pause_and_resume": pause_and_resume,
}
CHILD_FAULTS: dict[str, Fault] = {"kill_child": kill_child, "kill_both": kill_both, "freeze_both": freeze_both}
FAULTS = {**PROCESS_FAULTS, **CHILD_FAULTS}


def cells() -> list[tuple[str, str, Moment]]:
    """Return the whole matrix: fault, node, moment."""
    moments: list[tuple[str, Moment]] = [
        *((node, moment) for node in ("dataset", "training", "evaluation", "export") for moment in ANYWHERE),
        ("training", "upload"),
    ]
    everywhere = [(fault, node, moment) for fault in PROCESS_FAULTS for node, moment in moments]
    in_child = [
        (fault, node, moment) for fault in CHILD_FAULTS for node, moment in moments if moment in {"run", "upload"}
    ]
    return [*everywhere, *(cell for cell in in_child if cell[1] != "dataset")]


ANYWHERE: tuple[Moment, ...] = ("claim", "run", "report", "reported")
