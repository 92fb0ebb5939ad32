"""Entries that a sweep could not handle: kept apart with the reason, so that they stop nothing else."""

import json
from dataclasses import dataclass

from redis import Redis

from pipelines.engine.state import keys


@dataclass(frozen=True, slots=True)
class SetAside:
    """One such entry."""

    source: str
    """The sorted set that it was taken out of."""
    entry: str
    reason: str
    at: float
    """Seconds since 1970, by the Redis server's clock."""


def set_aside(connection: "Redis", source: str, entry: bytes, reason: str, now: float) -> None:
    """Take an entry out of its sorted set and keep it with the reason."""
    with connection.pipeline() as pipe:
        pipe.zrem(source, entry)
        pipe.hset(keys.SET_ASIDE, b"%s %s" % (source.encode(), entry), json.dumps({"reason": reason, "at": now}))
        pipe.execute()


def all_set_aside(connection: "Redis") -> list[SetAside]:
    """Return what is set aside, the oldest first."""
    found = []
    for field, value in connection.hgetall(keys.SET_ASIDE).items():
        source, _, entry = field.partition(b" ")
        found.append(SetAside(source.decode(), entry.decode(errors="replace"), **json.loads(value)))
    return sorted(found, key=lambda each: each.at)


def give_back(connection: "Redis") -> int:
    """Put what is set aside back where it came from, to be handled once more; return how many entries there were."""
    fields = connection.hkeys(keys.SET_ASIDE)
    with connection.pipeline() as pipe:
        for field in fields:
            source, _, entry = field.partition(b" ")
            pipe.zadd(source, {entry: 0}, nx=True)
            pipe.hdel(keys.SET_ASIDE, field)
        pipe.execute()
    return len(fields)
