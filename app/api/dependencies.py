"""Named dependencies of the routes: each takes only the parts that it needs."""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from pydantic import SecretStr

from agents.base.confined import Limits
from agents.base.object_store import ObjectStore
from agents.base.sources import Sources
from app.api.room import Room
from app.settings import Settings
from app.wiring import Parts
from pipelines.engine.orchestrator import Orchestrator
from pipelines.engine.state.fleet import FleetState
from pipelines.engine.state.job_index import JobIndex
from pipelines.engine.state.log_follower import LogFollower
from pipelines.engine.state.logs import Logs
from pipelines.engine.state.registry import Registry
from pipelines.engine.state.store import JobStore

#: Long cells of a preview are cut; what is larger nonetheless is refused.
PREVIEW_ANSWER_MIB = 8
JobId = Annotated[str, Path(description="The job's id.", examples=["job_01JY3Z9S2M"])]


def _part(take: Callable[[Parts], Any]) -> Any:
    # A coroutine, since FastAPI would run a plain function in a thread of its own for each request.
    async def give(request: Request) -> Any:
        return take(request.app.state.parts)

    return Depends(give)


def preview_limits(settings: Settings) -> Limits:
    """Return what a preview may take."""
    return Limits(
        memory_mib=settings.preview_memory_mib,
        cpu_s=ceil(settings.preview_timeout_s),
        wall_s=settings.preview_timeout_s,
        answer_mib=PREVIEW_ANSWER_MIB,
        memory_cure="Make the file smaller, or raise TUNELINE_PREVIEW_MEMORY_MIB.",
        time_cure="Make the file smaller, or raise TUNELINE_PREVIEW_TIMEOUT_S.",
        answer_cure="Ask for fewer rows, or set a smaller max_tokens.",
    )


def _state(name: str) -> Any:
    async def give(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(give)


StateDep = Annotated[JobStore, _part(lambda parts: parts.state)]
OrchestratorDep = Annotated[Orchestrator, _part(lambda parts: parts.orchestrator)]
LogsDep = Annotated[Logs, _part(lambda parts: parts.logs)]
RegistryDep = Annotated[Registry, _part(lambda parts: parts.registry)]
ObjectsDep = Annotated[ObjectStore, _part(lambda parts: parts.objects)]
SourcesDep = Annotated[Sources, _part(lambda parts: parts.sources)]
FleetDep = Annotated[FleetState, _part(lambda parts: parts.fleet)]
JobIndexDep = Annotated[JobIndex, _part(lambda parts: parts.job_index)]
#: Gives what follows a job's log.
FollowLogDep = Annotated[
    Callable[[str], LogFollower], _part(lambda parts: partial(LogFollower, parts.redis_url, parts.logs))
]
#: Says of each server what is wrong with it, None: nothing.
ServerFaultsDep = Annotated[Callable[[], dict[str, str | None]], _part(lambda parts: parts.server_faults)]
#: Room for logs that are followed, and for uploads.
FollowerRoomDep = Annotated[Room, _state("follower_room")]
UploadRoomDep = Annotated[Room, _state("upload_room")]
#: Says what else is wrong while Redis answers.
WarningsDep = Annotated[Callable[[], list[str]], _part(lambda parts: parts.warnings)]
#: How large an upload may be, in MiB.
UploadLimitDep = Annotated[int, _part(lambda parts: parts.settings.upload_limit_mb)]
#: How many workers of a host a queue may have.
QueueWorkersMostDep = Annotated[int, _part(lambda parts: parts.settings.queue_workers_most)]
#: What a preview may take.
PreviewLimitsDep = Annotated[Limits, _part(lambda parts: preview_limits(parts.settings))]
#: The key for promotions against the verdict; None: there are none.
ForceKeyDep = Annotated[SecretStr | None, _part(lambda parts: parts.settings.force_key)]
