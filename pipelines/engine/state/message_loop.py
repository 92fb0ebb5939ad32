"""Taking messages and running them, one after the other, in a worker's process.

RQ never runs anything: a worker reads a message as data, and what is not the message of an attempt is set aside.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DequeueTimeout
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job as QueuedMessage
from rq.serializers import JSONSerializer

from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state.message import ForeignMessage, Message, read_message, shown
from pipelines.engine.state.prefix import keeping_to, prefix_of
from pipelines.engine.state.set_aside import set_aside_message

log = structlog.get_logger()
#: How long one blocking read waits for a message; a socket that is silent for longer by the slack is broken.
BLOCK_S, SLACK_S = 5, 5
#: Pauses while a queue can't be read.
PAUSE_FIRST_S, PAUSE_MOST_S = 0.1, 5.0

FOREIGN = (
    "It is not a message of Tuneline: {reason}. Another program sends its RQ jobs through this queue; give it another "
    "database of Redis, or set TUNELINE_REDIS_PREFIX. `RPUSH {queue} <entry>` puts it back."
)

#: Runs a message; says whether its attempt was claimed.
Handle = Callable[[Message], bool]


@dataclass(frozen=True, slots=True)
class TakenMessage:
    """A message that a worker has taken out of its queue."""

    id: str
    message: Message

    @property
    def key(self) -> str:
        """What it lies under in Redis."""
        return str(QueuedMessage.key_for(self.id))


def take_message(
    queues: Sequence[Queue], timeout_s: int | None, connection: "Redis"
) -> tuple[TakenMessage, Queue] | None:
    """Take the next message, of several queues from the first that has one; set aside what is not ours.

    `timeout_s`: how long to wait for one; None: not at all, and the answer is None where all are empty.

    Raises:
        DequeueTimeout: none came.
        RedisError: Redis is away, full, or refuses.
    """
    by_key = {queue.key: queue for queue in queues}
    while True:
        if len(by_key) == 1:
            found = Queue.lmove(connection, next(iter(by_key)), timeout_s)
        else:
            found = Queue.lpop(list(by_key), timeout_s, connection=connection)
        if found is None:
            return None
        key, entry = found
        queue = by_key[key.decode() if isinstance(key, bytes) else key]
        if (taken := _read(queue, entry, connection)) is not None:
            return taken, queue


def _read(queue: Queue, entry: bytes, connection: "Redis") -> TakenMessage | None:
    """Return the message of this id; None: there is none any more, or it is not ours and was set aside."""
    taken_from = IntermediateQueue.get_intermediate_queue_key(queue.key)
    try:
        message_id = entry.decode()
        data = _data(message_id, connection)
        if data is not None:
            return TakenMessage(message_id, read_message(data))
        # Sent twice, and the other one was claimed.
        AttemptId.parse(message_id)
        connection.lrem(taken_from, 1, entry)
        return None
    except ForeignMessage as fault:
        reason = str(fault)
    except ValueError:
        reason = "its id is not that of an attempt, and there is nothing under it"
    log.warning("foreign_message", queue=queue.name, entry=shown(entry), reason=reason)
    sentence = FOREIGN.format(reason=reason, queue=f"{prefix_of(connection)}{queue.key}")
    set_aside_message(connection, queue.key, taken_from, entry, sentence)
    return None


def _data(message_id: str, connection: "Redis") -> bytes | None:
    try:
        found: bytes | None = connection.hget(QueuedMessage.key_for(message_id), "data")
    except ResponseError as fault:
        if str(fault).startswith("WRONGTYPE"):
            raise ForeignMessage("there is no RQ job under its id") from None
        raise
    return found


class _StopAsked(BaseException):
    """Raised by a signal while nothing but waiting is done."""


class MessageLoop:
    """Takes messages and runs their handler, in this process.

    `handle` is called with each message, whatever path the message carries, and says whether it claimed anything. It
    reports to the engine by itself and never raises for an agent's fault. A message is removed in the transaction
    that claims its attempt; one that claims nothing is removed here. Nothing but a stop ends the loop: where Redis is
    away, full or read-only it waits and asks again.
    """

    def __init__(self, queues: Sequence[str], connection: "Redis", handle: Handle, on_stop: Callable[[], None]) -> None:
        self._connection = _waiting(connection)
        self._queues = [Queue(name, connection=self._connection, serializer=JSONSerializer) for name in queues]
        self._handle = handle
        self._on_stop = on_stop
        self._stopping = False
        self._idle = False
        self._pause_s = PAUSE_FIRST_S

    def run(self, *, burst: bool) -> None:
        """Work until `stop`; `burst`: until the queues are empty."""
        try:
            while not self._stopping:
                found = self._next(burst)
                if found is not None:
                    self._work_on(*found)
                elif burst:
                    return
        except _StopAsked:
            return
        finally:
            self._connection.close()

    def stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """End the loop, after the message that is worked on. A signal's handler."""
        self._stopping = True
        self._on_stop()
        if self._idle:
            raise _StopAsked

    def _next(self, burst: bool) -> tuple[TakenMessage, Queue] | None:
        """Wait a while for a message."""
        self._idle = True
        try:
            found = take_message(self._queues, None if burst else BLOCK_S, self._connection)
            self._pause_s = PAUSE_FIRST_S
            return found
        except DequeueTimeout:
            return None
        except RedisError as fault:
            self._rest(fault)
            return None
        finally:
            self._idle = False

    def _rest(self, fault: RedisError) -> None:
        """Wait longer and longer, so that no worker ends, or asks without end, for a fault that can pass."""
        log.warning("queue_not_read", queues=[queue.name for queue in self._queues], message=str(fault))
        time.sleep(self._pause_s)
        self._pause_s = min(PAUSE_MOST_S, self._pause_s * 2)

    def _work_on(self, queued: TakenMessage, queue: Queue) -> None:
        try:
            if not self._handle(queued.message):
                with self._connection.pipeline(transaction=False) as pipe:
                    pipe.lrem(IntermediateQueue.get_intermediate_queue_key(queue.key), 1, queued.id)
                    pipe.delete(queued.key)
                    pipe.execute()
        except RedisError as fault:
            log.warning("message_given_up", message_id=queued.id, message=str(fault))
        except Exception:
            # One that can't be handled stops nothing else.
            log.exception("message_failed", message_id=queued.id)


def run_worker(
    queues: Sequence[str],
    connection: "Redis",
    handle: Handle,
    on_stop: Callable[[], None],
    *,
    burst: bool = False,
) -> None:
    """Take messages from `queues` until told to stop by SIGTERM; `burst`: until they are empty.

    `handle` runs a message and says whether its attempt was claimed; `on_stop` is called when the signal comes, while
    a message may be running.
    """
    loop = MessageLoop(queues, connection, handle, on_stop)
    before = signal.signal(signal.SIGTERM, loop.stop)
    try:
        loop.run(burst=burst)
    finally:
        signal.signal(signal.SIGTERM, before)


def _waiting(connection: "Redis") -> "Redis":
    """Return a connection to the same server that waits for longer than a message is waited for.

    It asks once: a message that was taken by an answer that got lost would be forgotten over the next one.
    """
    pool = connection.connection_pool
    kwargs = {**pool.connection_kwargs, "socket_timeout": BLOCK_S + SLACK_S, "retry": Retry(NoBackoff(), 0)}
    waiting = Redis.from_pool(type(pool)(connection_class=pool.connection_class, **kwargs))
    return keeping_to(prefix_of(connection), waiting)
