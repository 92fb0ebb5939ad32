"""What the engine and RQ ask of Redis: tried at the start of every process, so that a missing right is told at once."""

from redis import Redis, RedisError
from redis.exceptions import NoPermissionError

from agents.base.errors import Unavailable
from pipelines.engine.state import keys
from pipelines.engine.state.redis_faults import RIGHTS, is_another_kind, is_refusal, permission_words, redis_error

#: How long what a try writes is kept where it could not be removed, in seconds.
PROBE_KEPT_S = 10


def see_that_it_writes(connection: "Redis") -> None:
    """Write one small key.

    Raises:
        RedisError: Redis is away, or takes no writes.
    """
    connection.set(keys.PROBE, 1, ex=PROBE_KEPT_S)


def refused_rights(connection: "Redis") -> list[str]:
    """Return what Redis refuses to its user of what is needed: commands and keys. Leaves nothing behind.

    Raises:
        RedisError: Redis is away, a cluster, or too old.
    """
    answers: list[object] = []
    with connection.pipeline(transaction=False) as pipe:
        try:
            # Alone: the client sends it at once, outside of a pipeline.
            pipe.watch(keys.PROBE)
        except NoPermissionError as fault:
            answers.append(fault)
        pipe.reset()
        for command in tries():
            pipe.execute_command(*command)
        answers += pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, RedisError) and is_another_kind(answer):
            raise answer
    refused = [permission_words(each) for each in answers if isinstance(each, RedisError) and is_refusal(each)]
    if refused:
        # A transaction that could not be ended would go on in the next use of its connection.
        connection.connection_pool.disconnect(inuse_connections=False)
    return list(dict.fromkeys(refused))


def require_rights(connection: "Redis", place: str) -> None:
    """See that Redis answers and allows all that is needed.

    Raises:
        Unavailable: it doesn't; the message names every missing right.
    """
    try:
        connection.ping()
        refused = refused_rights(connection)
    except RedisError as fault:
        raise redis_error(fault, place) from fault
    if refused:
        raise Unavailable(
            f"Redis at {place} refuses to its user: {', '.join(refused)}.",
            cure=f"Allow it by ACL SETUSER. {RIGHTS}",
        )


def tries() -> list[tuple[str | int | float, ...]]:
    """Return a harmless form of each command that is needed, on keys of the engine and of RQ."""
    probe, other, rq = keys.PROBE, f"{keys.PROBE}:2", "rq:probe"
    return [
        ("PING",),
        ("TIME",),
        ("INFO", "server"),
        ("EXISTS", probe, other),
        ("DEL", probe, other, rq),
        ("SET", probe, 1, "EX", PROBE_KEPT_S),
        ("GET", probe),
        ("EXPIRE", probe, PROBE_KEPT_S),
        ("PERSIST", probe),
        ("TTL", probe),
        ("DEL", probe),
        ("HSET", probe, "a", 1),
        ("HSETNX", probe, "a", 1),
        ("HGET", probe, "a"),
        ("HMGET", probe, "a"),
        ("HGETALL", probe),
        ("HKEYS", probe),
        ("HVALS", probe),
        ("HEXISTS", probe, "a"),
        ("HINCRBY", probe, "a", 1),
        ("HDEL", probe, "a"),
        ("ZADD", probe, 1, "a"),
        ("ZSCORE", probe, "a"),
        ("ZCARD", probe),
        ("ZRANGE", probe, 0, -1),
        ("ZREVRANGE", probe, 0, -1),
        ("ZRANGEBYSCORE", probe, 0, 1),
        ("ZREM", probe, "a"),
        ("SADD", probe, "a"),
        ("SMEMBERS", probe),
        ("SREM", probe, "a"),
        ("LPUSH", probe, "a"),
        ("RPUSH", probe, "a"),
        ("LLEN", probe),
        ("LRANGE", probe, 0, -1),
        ("LINDEX", probe, 0),
        ("LPOS", probe, "a"),
        ("LREM", probe, 0, "a"),
        ("LPOP", other),
        ("BLPOP", probe, 0.01),
        ("RPUSH", probe, "a"),
        ("BLMOVE", probe, other, "LEFT", "RIGHT", 0.01),
        ("LMOVE", probe, other, "LEFT", "RIGHT"),
        ("DEL", probe, other),
        ("XADD", probe, "MAXLEN", "~", 10, "*", "a", 1),
        ("XRANGE", probe, "-", "+", "COUNT", 1),
        ("XREVRANGE", probe, "+", "-", "COUNT", 1),
        ("XLEN", probe),
        ("XREAD", "COUNT", 1, "STREAMS", probe, 0),
        ("DEL", probe),
        ("RPUSH", rq, "a"),
        ("DEL", rq),
        ("EVAL", "return redis.call('EXISTS', KEYS[1])", 1, probe),
        ("EVALSHA", "0" * 40, 1, probe),
        ("SCRIPT", "LOAD", "return 1"),
        ("SCAN", 0, "COUNT", 1),
        ("CLIENT", "GETNAME"),
        ("MULTI",),
        ("EXEC",),
    ]
