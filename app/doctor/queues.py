"""The doctor's look at the queues: messages that wait where nobody works."""

from redis import RedisError

from agents import QUEUES
from agents.base.errors import TunelineError
from app.doctor.finding import Finding
from app.settings import Settings
from app.wiring import build_parts
from pipelines.engine.state.fleet import QueueOverview


def queues(settings: Settings) -> list[Finding]:
    """Say which queues have messages but no worker; nothing where Redis doesn't answer, which is another finding."""
    try:
        return [judge_queues(build_parts(settings).fleet.queues(QUEUES))]
    except (TunelineError, RedisError, ValueError):
        return []


def judge_queues(found: list[QueueOverview]) -> Finding:
    """Judge queues by their messages and workers."""
    waiting = [queue for queue in found if queue.messages and not queue.workers]
    if not waiting:
        listening = sum(bool(queue.workers) for queue in found)
        return Finding(
            name="queues",
            ok=True if listening else None,
            found=f"workers listen on {listening} of {len(found)}",
            cure="" if listening else "`tuneline up` starts workers, as does `tuneline worker`.",
        )
    listed = ", ".join(f"{queue.messages:,} on '{queue.name}'" for queue in waiting)
    named = " ".join(f"--queue {queue.name}" for queue in waiting)
    return Finding(
        name="queues",
        ok=None,
        found=f"messages wait where no worker listens: {listed}",
        cure=f"Start workers for them: tuneline worker {named}.",
    )
