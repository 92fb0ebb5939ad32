"""What could not be handled, kept apart with the reason, so that it stops nothing else.

Entries of sorted sets that a sweep failed at, and messages in queues that are not the engine's.
"""

import json
from dataclasses import dataclass

from redis import Redis

from pipelines.engine.state import keys

#: Beyond so many, foreign messages are only written to the log.
MESSAGES_MOST = 1000
MESSAGES_KEPT_S = 7 * 86400
#: Longer ids are cut: nothing that made such an id can want it back.
ENTRY_BYTES_MOST = 512


@dataclass(frozen=True, slots=True)
class SetAside:
    """One such entry."""

    source: str
    """The sorted set or the queue that it was taken out of."""
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


def set_aside_message(connection: "Redis", queue: str, taken_from: str, entry: bytes, reason: str) -> None:
    """Keep the id of a message that belongs to somebody else; what is under it stays as it is.

    `queue`: the list it came from; `taken_from`: the list that it lies in since, if any.
    """
    field = b"%s %s" % (queue.encode(), entry[:ENTRY_BYTES_MOST])
    seconds, microseconds = connection.time()
    with connection.pipeline() as pipe:
        if connection.hlen(keys.SET_ASIDE) < MESSAGES_MOST:
            record = {"reason": reason, "at": seconds + microseconds / 1e6, "message": True}
            pipe.hset(keys.SET_ASIDE, field, json.dumps(record))
        pipe.lrem(taken_from, 1, entry)
        pipe.execute()


def all_set_aside(connection: "Redis") -> list[SetAside]:
    """Return what is set aside, the oldest first."""
    found = []
    for field, value in connection.hgetall(keys.SET_ASIDE).items():
        source, _, entry = field.partition(b" ")
        record = json.loads(value)
        found.append(SetAside(source.decode(), entry.decode(errors="replace"), record["reason"], record["at"]))
    return sorted(found, key=lambda each: each.at)


def give_back(connection: "Redis") -> int:
    """Put what is set aside back where it came from, to be handled once more; return how many entries there were.

    Foreign messages stay for a week: they would only be taken again.
    """
    records = {field: json.loads(value) for field, value in connection.hgetall(keys.SET_ASIDE).items()}
    old = connection.time()[0] - MESSAGES_KEPT_S
    given_back = [field for field, record in records.items() if not record.get("message")]
    forgotten = [field for field, record in records.items() if record.get("message") and record["at"] < old]
    with connection.pipeline() as pipe:
        for field in given_back:
            source, _, entry = field.partition(b" ")
            pipe.zadd(source, {entry: 0}, nx=True)
        for field in (*given_back, *forgotten):
            pipe.hdel(keys.SET_ASIDE, field)
        pipe.execute()
    return len(given_back)
