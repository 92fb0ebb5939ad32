"""Names of everything the engine keeps in Redis."""

JOBS = "tuneline:jobs"
"""Sorted set: job id by time of submission."""
LEASES = "tuneline:leases"
"""Sorted set: attempt (`AttemptId.key`) by the time its lease ends. Who isn't in it has no right to write."""
DUE = "tuneline:due"
"""Sorted set: attempt by the time its next try is due."""
SENT = "tuneline:sent"
"""Sorted set: attempt by the time its message was queued; looked at for lost messages."""
HOLDING = "tuneline:holding"
"""Sorted set: job and queue (`share.member`) that has messages held back, by the time the last was sent."""
SET_ASIDE = "tuneline:set_aside"
"""Hash: sorted set and an entry of it that could not be handled -> when and why, as JSON."""
UNARCHIVED = "tuneline:unarchived"
"""Sorted set: jobs that ended and whose log is not in the object store yet, by the time they ended."""
MODELS = "tuneline:models"
"""Set: names of all models."""
FLEET = "tuneline:fleet"
"""Hash: queue -> workers wanted."""
INSTALLATION = "tuneline:installation"
"""Hash: whose Redis this is (`pipelines/engine/state/installation.py`)."""
LOOKED = "tuneline:installation:looked"
"""String: there while the bucket's mark was compared lately; expires."""
PROBE = "tuneline:probe"
"""Of several types in turn, for a moment: what is written to see whether Redis takes writes, and allows them."""
UNREADABLE = "unreadable"
"""In place of a status: of jobs that this release can't read."""


def jobs_of_status(status: str) -> str:
    """Sorted set: jobs of a status by time of submission."""
    return f"tuneline:jobs:status:{status}"


def jobs_named(name: str) -> str:
    """Sorted set: jobs of a pipeline by time of submission."""
    return f"tuneline:jobs:name:{name}"


def jobs_of_status_named(status: str, name: str) -> str:
    """Sorted set: jobs of a pipeline that have a status, by time of submission."""
    return f"tuneline:jobs:name:{name}:status:{status}"


def devices(host: str) -> str:
    """String: the devices a host said it has, as JSON; expires."""
    return f"tuneline:devices:{host}"


def device(uuid: str) -> str:
    """Hash: attempt -> what it has reserved of a device, as JSON; counts while the lease does."""
    return f"tuneline:device:{uuid}"


def state(job: str) -> str:
    """Hash: `head`, and a field per node."""
    return f"tuneline:job:{job}"


def plan(job: str) -> str:
    """String: the plan as JSON; never changes."""
    return f"tuneline:job:{job}:plan"


def outputs(job: str) -> str:
    """Hash: node -> its output as JSON."""
    return f"tuneline:job:{job}:outputs"


def progress(job: str) -> str:
    """Hash: node -> its newest progress as JSON."""
    return f"tuneline:job:{job}:progress"


def said(job: str) -> str:
    """Hash: attempt -> number of the newest record it has in the log."""
    return f"tuneline:job:{job}:said"


def held(job: str, queue: str) -> str:
    """List: messages of a job that wait until others of it have left the queue."""
    return f"tuneline:job:{job}:held:{queue}"


def log(job: str) -> str:
    """Stream: the job's log."""
    return f"tuneline:job:{job}:log"


def cache(key: str) -> str:
    """String: an output in the step cache, as JSON."""
    return f"tuneline:cache:{key}"


def cache_parts(pipeline: str, node: str) -> str:
    """String: what the newest key of this node was made of, to say why the next one misses."""
    return f"tuneline:cache:parts:{pipeline}:{node}"


def idempotency(key: str) -> str:
    """String: the job that a submit with this `Idempotency-Key` made, with the digest of its body."""
    return f"tuneline:idempotency:{key}"


def aliases(model: str) -> str:
    """Hash: alias -> version."""
    return f"tuneline:model:{model}:aliases"


def versions(model: str) -> str:
    """Hash: version -> the manifest's key; only complete versions."""
    return f"tuneline:model:{model}:versions"


def reserved(model: str) -> str:
    """Hash: node of a job (`node_key`) -> version number kept for it; field `last`: the newest number given."""
    return f"tuneline:model:{model}:reserved"


def history(model: str) -> str:
    """List: every move of an alias as JSON, newest first."""
    return f"tuneline:model:{model}:history"
