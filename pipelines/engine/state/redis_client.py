"""The client of Redis: bounded in time, and never left at a server that has become a replica."""

from typing import Any

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from agents.base.errors import InvalidRequest
from pipelines.engine.state.redis_faults import URL

#: A connection that was idle for so long is tried before it is used.
LOOK_AFTER_S = 30
TRIES = 3


class _Leaving:
    """A connection that is made anew once its server said that it is a replica.

    Not at once: what else was sent in the same breath is still to be read. The pool closes it when it comes back.
    """

    at_replica = False

    def read_response(self, *args: Any, **kw: Any) -> Any:
        try:
            return super().read_response(*args, **kw)  # type: ignore[misc]
        except ReadOnlyError:
            self.at_replica = True
            self.mark_for_reconnect()  # type: ignore[attr-defined]
            raise


class _Connection(_Leaving, redis.Connection):  # type: ignore[misc]
    pass


class _TlsConnection(_Leaving, redis.SSLConnection):  # type: ignore[misc]
    pass


class _SocketConnection(_Leaving, redis.UnixDomainSocketConnection):  # type: ignore[misc]
    pass


CLASSES = {
    redis.Connection: _Connection,
    redis.SSLConnection: _TlsConnection,
    redis.UnixDomainSocketConnection: _SocketConnection,
}


class _Pool(redis.ConnectionPool):  # type: ignore[misc]
    """Where one connection leads to a replica all of them do: none is kept, and the name is looked up again."""

    def release(self, connection: Any) -> None:
        if connection.at_replica:
            connection.at_replica = False
            self.disconnect(inuse_connections=False)
        super().release(connection)


def connect(url: str, *, timeout_s: float, tries: int = TRIES, wait_for_silent: bool = False) -> "redis.Redis":
    """Return a client; nothing is connected yet.

    A lost connection is made again, `tries` times with short pauses before an error is raised. A server that is silent
    is given up after `timeout_s`, unless `wait_for_silent` has it asked as often again.

    Raises:
        InvalidRequest: the URL has an option that can't be used.
    """
    backoff = ExponentialBackoff(cap=0.5, base=0.05) if tries else NoBackoff()
    lost = (redis.ConnectionError, redis.TimeoutError) if wait_for_silent else (redis.ConnectionError,)
    try:
        pool = _Pool.from_url(
            url,
            socket_connect_timeout=timeout_s,
            socket_timeout=timeout_s,
            retry=Retry(backoff, tries, supported_errors=lost),
            health_check_interval=LOOK_AFTER_S,
        )
        pool.connection_class = CLASSES[pool.connection_class]
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, redis.RedisError) as fault:
        raise InvalidRequest(
            f"{URL} has an option in its query that can't be used: its value is wrong, or it is for TLS alone.",
            cure="Correct it, or leave the query out: redis://host:port/0.",
        ) from fault
    return redis.Redis.from_pool(pool)
