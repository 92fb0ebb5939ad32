"""What the engine and RQ ask of Redis: tried at the start of every process, so that a missing right is told at once."""

from redis import Redis, RedisError
from redis.exceptions import NoPermissionError

from agents.base.errors import Unavailable
from pipelines.engine.state import keys
from pipelines.engine.state.redis_faults import RIGHTS, is_another_kind, is_refusal, permission_words, redis_error

#: How long what a try writes is kept where it could not be removed, in seconds.
PROBE_KEPT_S = 10
#: A second key of the engine, and one of RQ.
OTHER, RQ = f"{keys.PROBE}:2", "rq:probe"
#: A harmless form of each command that is needed, on keys of the engine and of RQ.
TRIES: tuple[tuple[str | int | float, ...], ...] = (
    ("PING",),
    ("TIME",),
    ("INFO", "server"),
    ("EXISTS", keys.PROBE, OTHER),
    ("DEL", keys.PROBE, OTHER, RQ),
    ("SET", keys.PROBE, 1, "EX", PROBE_KEPT_S),
    ("GET", keys.PROBE),
    ("EXPIRE", keys.PROBE, PROBE_KEPT_S),
    ("PERSIST", keys.PROBE),
    ("TTL", keys.PROBE),
    ("DEL", keys.PROBE),
    ("HSET", keys.PROBE, "a", 1),
    ("HSETNX", keys.PROBE, "a", 1),
    ("HGET", keys.PROBE, "a"),
    ("HMGET", keys.PROBE, "a"),
    ("HGETALL", keys.PROBE),
    ("HKEYS", keys.PROBE),
    ("HVALS", keys.PROBE),
    ("HEXISTS", keys.PROBE, "a"),
    ("HINCRBY", keys.PROBE, "a", 1),
    ("HDEL", keys.PROBE, "a"),
    ("ZADD", keys.PROBE, 1, "a"),
    ("ZSCORE", keys.PROBE, "a"),
    ("ZCARD", keys.PROBE),
    ("ZRANGE", keys.PROBE, 0, -1),
    ("ZREVRANGE", keys.PROBE, 0, -1),
    ("ZRANGEBYSCORE", keys.PROBE, 0, 1),
    ("ZREM", keys.PROBE, "a"),
    ("SADD", keys.PROBE, "a"),
    ("SMEMBERS", keys.PROBE),
    ("SREM", keys.PROBE, "a"),
    ("LPUSH", keys.PROBE, "a"),
    ("RPUSH", keys.PROBE, "a"),
    ("LLEN", keys.PROBE),
    ("LRANGE", keys.PROBE, 0, -1),
    ("LINDEX", keys.PROBE, 0),
    ("LPOS", keys.PROBE, "a"),
    ("LREM", keys.PROBE, 0, "a"),
    ("LPOP", OTHER),
    ("BLPOP", keys.PROBE, 0.01),
    ("RPUSH", keys.PROBE, "a"),
    ("BLMOVE", keys.PROBE, OTHER, "LEFT", "RIGHT", 0.01),
    ("LMOVE", keys.PROBE, OTHER, "LEFT", "RIGHT"),
    ("DEL", keys.PROBE, OTHER),
    ("XADD", keys.PROBE, "MAXLEN", "~", 10, "*", "a", 1),
    ("XRANGE", keys.PROBE, "-", "+", "COUNT", 1),
    ("XREVRANGE", keys.PROBE, "+", "-", "COUNT", 1),
    ("XLEN", keys.PROBE),
    ("XREAD", "COUNT", 1, "STREAMS", keys.PROBE, 0),
    ("DEL", keys.PROBE),
    ("RPUSH", RQ, "a"),
    ("DEL", RQ),
    ("EVAL", "return redis.call('EXISTS', KEYS[1])", 1, keys.PROBE),
    ("EVALSHA", "0" * 40, 1, keys.PROBE),
    ("SCRIPT", "LOAD", "return 1"),
    ("SCAN", 0, "COUNT", 1),
    ("CLIENT", "GETNAME"),
    ("MULTI",),
    ("EXEC",),
)


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
        for command in TRIES:
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
