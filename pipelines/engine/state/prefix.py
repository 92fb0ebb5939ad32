"""A prefix before every key, so that installations share a Redis without seeing each other.

It is put there by the connection, whoever asks: ours and RQ's keys alike. A command that this table doesn't know is
refused rather than sent without it.
"""

from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis import Redis
from redis.asyncio.client import Pipeline as AsyncPipeline
from redis.client import Pipeline
from redis.exceptions import DataError

Words = Sequence[Any]


def _names(text: str, *more: str) -> frozenset[str]:
    return frozenset(text.split()) | {*more}


#: The key is the word after the command's name.
ONE_KEY = _names(
    """
    APPEND DECR EXPIRE GET GETDEL GETEX HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HSCAN HSET HSETNX HVALS INCR
    INCRBY LINDEX LLEN LPOP LPOS LPUSH LRANGE LREM LSET LTRIM PERSIST PEXPIRE PSETEX PTTL RPOP RPUSH SADD SCARD SET
    SETEX SETNX SISMEMBER SMEMBERS SREM SSCAN STRLEN TTL TYPE XADD XDEL XLEN XRANGE XREVRANGE XTRIM ZADD ZCARD ZCOUNT
    ZINCRBY ZRANGE ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZSCAN ZSCORE
    """,
    *("MEMORY USAGE", "OBJECT ENCODING", "XINFO STREAM"),
)
TWO_KEYS = {"BLMOVE", "LMOVE", "RENAME", "RPOPLPUSH", "SMOVE"}
ALL_KEYS = {"DEL", "EXISTS", "MGET", "TOUCH", "UNLINK", "WATCH"}
ALL_BUT_LAST = {"BLPOP", "BRPOP"}
#: The number of keys stands before them.
COUNTED = {"EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO"}
STREAMS = {"XREAD"}
PATTERN = {"KEYS", "SCAN"}
NO_KEYS = _names(
    """
    ACL AUTH CLIENT COMMAND CONFIG DBSIZE DISCARD ECHO EXEC HELLO INFO LASTSAVE MEMORY MULTI PING QUIT ROLE SCRIPT
    SELECT TIME UNWATCH WAIT
    """
)


def prefixed(prefix: str, words: Words) -> list[Any]:
    """Return a command with the prefix before each of its keys.

    Raises:
        DataError: nobody knows where its keys are.
    """
    name, rest = _name(words[0]), list(words[1:])
    if name in ONE_KEY:
        first, last = 0, 1
    elif name in TWO_KEYS:
        first, last = 0, 2
    elif name in ALL_KEYS:
        first, last = 0, len(rest)
    elif name in ALL_BUT_LAST:
        first, last = 0, len(rest) - 1
    elif name in COUNTED:
        first, last = 2, 2 + int(rest[1])
    elif name in STREAMS:
        first = [_name(word) for word in rest].index("STREAMS") + 1
        last = first + (len(rest) - first) // 2
    elif name in PATTERN:
        return [words[0], *_pattern(prefix, name, rest)]
    elif name.partition(" ")[0] in NO_KEYS:
        return list(words)
    else:
        raise DataError(f"'{name}' is not a command that is known to keep to the prefix '{prefix}'.")
    keys = [_with(prefix, key) for key in rest[first:last]]
    return [words[0], *rest[:first], *keys, *rest[last:]]


def without(prefix: str, name: str, answer: Any) -> Any:
    """Return an answer with the prefix taken off the keys in it."""
    if name == "KEYS":
        return [_off(prefix, key) for key in answer]
    if name == "SCAN":
        return answer[0], [_off(prefix, key) for key in answer[1]]
    if name in ALL_BUT_LAST and answer:
        return (_off(prefix, answer[0]), *answer[1:])
    return answer


def _pattern(prefix: str, name: str, rest: list[Any]) -> list[Any]:
    if name == "KEYS":
        return [_with(prefix, rest[0])]
    options = [_name(word) for word in rest]
    if "MATCH" not in options[1:]:
        return [*rest, "MATCH", _with(prefix, "*")]
    at = options.index("MATCH", 1) + 1
    return [*rest[:at], _with(prefix, rest[at]), *rest[at + 1 :]]


def _name(word: Any) -> str:
    return (word.decode(errors="replace") if isinstance(word, bytes) else str(word)).upper()


def _with(prefix: str, key: Any) -> Any:
    return prefix.encode() + bytes(key) if isinstance(key, bytes | memoryview) else f"{prefix}{key}"


def _off(prefix: str, key: Any) -> Any:
    return key.removeprefix(prefix.encode()) if isinstance(key, bytes) else key.removeprefix(prefix)


class PrefixedPipeline(Pipeline):  # type: ignore[misc]
    """A pipeline of a `PrefixedRedis`."""

    key_prefix = ""

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        return super().execute_command(*prefixed(self.key_prefix, args), **kwargs)


class PrefixedRedis(Redis):  # type: ignore[misc]
    """A connection that puts `key_prefix` before every key."""

    key_prefix = ""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        answer = super().execute_command(*prefixed(self.key_prefix, args), **options)
        return without(self.key_prefix, _name(args[0]), answer)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> PrefixedPipeline:
        pipe = PrefixedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.key_prefix = self.key_prefix
        return pipe


class PrefixedAsyncPipeline(AsyncPipeline):  # type: ignore[misc]
    """A pipeline of a `PrefixedAsyncRedis`."""

    key_prefix = ""

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        return super().execute_command(*prefixed(self.key_prefix, args), **kwargs)


class PrefixedAsyncRedis(redis.asyncio.Redis):  # type: ignore[misc]
    """The same for asyncio."""

    key_prefix = ""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        answer = await super().execute_command(*prefixed(self.key_prefix, args), **options)
        return without(self.key_prefix, _name(args[0]), answer)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> PrefixedAsyncPipeline:
        pipe = PrefixedAsyncPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.key_prefix = self.key_prefix
        return pipe


def keeping_to(prefix: str, connection: "Redis") -> "Redis":
    """Return a connection over the same pool that keeps to the keys below a prefix; the same where that is empty."""
    if not prefix:
        # Nothing is looked at for it.
        return connection
    made = PrefixedRedis.from_pool(connection.connection_pool)
    made.key_prefix = prefix
    return made


def keeping_to_async(prefix: str, connection: "redis.asyncio.Redis") -> "redis.asyncio.Redis":
    """Return the same for asyncio."""
    if not prefix:
        return connection
    made = PrefixedAsyncRedis.from_pool(connection.connection_pool)
    made.key_prefix = prefix
    return made


def prefix_of(connection: "Redis") -> str:
    """Return the prefix that a connection keeps to."""
    return connection.key_prefix if isinstance(connection, PrefixedRedis) else ""
