"""The queues: one small JSON message per attempt. The only file that imports RQ.

RQ is a pipe here: order, retries, leases and results are the engine's own, so its `depends_on`,
result store and registries stay unused, and the worker skips their book-keeping. RQ never runs anything: a worker
reads a message as data, and what is not the message of an attempt is set aside.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError, ResponseError
from rq import Queue, SimpleWorker, Worker
from rq.exceptions import DequeueTimeout
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job as QueuedMessage
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus
from rq.worker_registration import REDIS_WORKER_KEYS

from agents.base.identifiers import is_name
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state.message import ForeignMessage, Message, read_message, shown
from pipelines.engine.state.set_aside import set_aside_message
from pipelines.plan import PlannedNode

log = structlog.get_logger()
#: The path that messages carry. Workers are given what handles a message and never look at it; those of older releases
#: call what it names, so it stays as it is while they may run beside these.
HANDLER = "app.worker.handle"
NO_TIMEOUT = -1
#: RQ keeps the name of every queue there ever was. Asked and removed at once: a message may come any moment.
FORGET_EMPTY = """
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.pcall('LLEN', queue) == 0 then redis.call('SREM', KEYS[1], queue) end
end
"""
HEARTBEAT_S = 10.0
#: RQ forgets a worker a minute after this much silence.
SILENCE_S = 30
#: How long to wait for a Redis that is away, full or refuses: twice as long each time.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
FOREIGN = (
    "It is not a message of Tuneline: {reason}. Another program sends its RQ jobs through this queue; give it another "
    "database of Redis, or set TUNELINE_REDIS_PREFIX. `RPUSH {queue} <entry>` puts it back."
)


@dataclass(frozen=True, slots=True)
class ListeningWorker:
    """A worker that takes messages."""

    name: str
    queues: tuple[str, ...]
    host: str
    pid: int


#: Runs a message; says whether its attempt was claimed.
Handle = Callable[[Message], bool]


class NodeQueues:
    """All queues on one Redis."""

    def __init__(self, connection: "Redis") -> None:
        self._connection = connection
        self._queues: dict[str, Queue] = {}
        self._forget_empty = connection.register_script(FORGET_EMPTY)

    def send(self, queue: str, messages: Sequence[tuple[str, Message]], pipeline: Pipeline) -> None:
        """Add messages, each with its id, to a queue, as part of the caller's transaction."""
        rows = [
            Queue.prepare_data(
                HANDLER,
                args=(message.model_dump(),),
                job_id=message_id,
                timeout=NO_TIMEOUT,
                result_ttl=0,
                failure_ttl=0,
                description=message_id,
            )
            for message_id, message in messages
        ]
        self._queue(queue).enqueue_many(rows, pipeline=pipeline)

    def holds(self, queue: str, message_id: str) -> bool:
        """Say whether a message still waits in a queue."""
        return self._connection.lpos(self._queue(queue).key, message_id) is not None

    def is_empty(self, queue: str, pipeline: Pipeline) -> bool:
        """Say whether no message waits in a queue, asked over a connection that watches keys."""
        return not pipeline.llen(self._queue(queue).key)

    def remove(self, queue: str, message_id: str, pipeline: Pipeline) -> None:
        """Remove a message, waiting or taken by a worker, as part of the caller's transaction."""
        key = self._queue(queue).key
        pipeline.lrem(key, 0, message_id)
        pipeline.lrem(IntermediateQueue.get_intermediate_queue_key(key), 0, message_id)
        pipeline.delete(QueuedMessage.key_for(message_id))

    def lengths(self) -> dict[str, int]:
        """Return how many messages wait: queue -> count."""
        names = self.names()
        with self._connection.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.llen(self._queue(name).key)
            # What another program keeps under such a key is not a queue.
            found = pipe.execute(raise_on_error=False)
        return {name: count for name, count in zip(names, found, strict=True) if isinstance(count, int)}

    def names(self) -> list[str]:
        """Return the queues that have messages, or had some until lately."""
        prefix = Queue.redis_queue_namespace_prefix
        found = (key.decode(errors="replace") for key in self._connection.smembers(Queue.redis_queues_keys))
        named = (key.removeprefix(prefix) for key in found if key.startswith(prefix))
        return [name for name in named if is_name(name)]

    def listened(self) -> Counter[str]:
        """Return how many living workers listen: queue -> count."""
        found = list(self._connection.smembers(REDIS_WORKER_KEYS))
        with self._connection.pipeline(transaction=False) as pipe:
            for key in found:
                pipe.hget(key, "queues")
            return Counter(
                queue for written in pipe.execute() if written for queue in written.decode(errors="replace").split(",")
            )

    def forget_empty(self) -> None:
        """Forget the names of queues without a message. The next message brings its queue's name back."""
        self._forget_empty(keys=[Queue.redis_queues_keys])

    def workers(self) -> list[ListeningWorker]:
        """Return the living workers."""
        return [
            ListeningWorker(worker.name, tuple(worker.queue_names()), worker.hostname, worker.pid)
            for worker in Worker.all(connection=self._connection, serializer=JSONSerializer)
        ]

    def _queue(self, name: str) -> Queue:
        if name not in self._queues:
            self._queues[name] = Queue(name, connection=self._connection, serializer=JSONSerializer)
        return self._queues[name]


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
    set_aside_message(connection, queue.key, taken_from, entry, FOREIGN.format(reason=reason, queue=queue.key))
    return None


def _data(message_id: str, connection: "Redis") -> bytes | None:
    try:
        found: bytes | None = connection.hget(QueuedMessage.key_for(message_id), "data")
    except ResponseError as fault:
        if str(fault).startswith("WRONGTYPE"):
            raise ForeignMessage("there is no RQ job under its id") from None
        raise
    return found


class NodeWorker(SimpleWorker):  # type: ignore[misc]
    """Takes messages and runs their handler, in this process.

    `handle` is called with each message, whatever path the message carries, and says whether it claimed anything. It
    reports to the engine by itself and never raises for an agent's fault, so nothing of
    RQ's success and failure handling is wanted. A message is removed in the transaction that claims
    its attempt; one that claims nothing is removed here.
    """

    def __init__(self, *args: Any, handle: Handle, on_stop: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handle = handle
        self._on_stop = on_stop

    def execute_job(self, job: TakenMessage, queue: Queue) -> None:
        # Tells RQ's signal handler to wait for the handler's end; costs no round trip.
        self._state = WorkerStatus.BUSY
        try:
            claimed = self._handle(job.message)
        finally:
            self._state = WorkerStatus.IDLE
        if not claimed:
            with self.connection.pipeline(transaction=False) as pipeline:
                pipeline.lrem(IntermediateQueue.get_intermediate_queue_key(queue.key), 1, job.id)
                pipeline.delete(job.key)
                pipeline.execute()

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[TakenMessage, Queue] | None:
        """Wait for a message, also for a Redis that is away, slow, full or refuses: RQ would quit there.

        RQ's own also builds an RQ job of it, by rules that a foreign one breaks.
        """
        self.set_state(WorkerStatus.IDLE)
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return take_message(self.queues, timeout, self.connection)
            except DequeueTimeout:
                pause_s = FIRST_PAUSE_S
            except RedisError as fault:
                log.warning("queue_not_read", queues=self.queue_names(), message=str(fault))
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def subscribe(self) -> None:
        """Nothing: RQ would take commands over this channel, such as to shut down."""

    def _set_ip_address(self, connection: "Redis") -> None:
        """Nothing that takes rights: RQ would list all clients of the server."""
        self.ip_address = "unknown"

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Nothing: RQ would call it several times for each message, but not while one is worked on."""

    def beat(self, stop: threading.Event) -> None:
        """Say now and then that this worker lives, until `stop` is set."""
        while not stop.wait(HEARTBEAT_S):
            with suppress(RedisError):
                super().heartbeat()

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        if state != self._state:
            super().set_state(state, pipeline)

    def handle_warm_shutdown_request(self) -> None:
        self._on_stop()

    def set_shutdown_requested_date(self) -> None:
        """Nothing: it is called in a signal's handler, where a Redis that is away would break into the agent."""

    def check_for_suspension(self, burst: bool) -> None:
        """Nothing: queues are not suspended here, and asking would cost a round trip for each message."""

    def register_death(self) -> None:
        with suppress(RedisError):
            super().register_death()

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """No: lost messages are found by the engine's sweeper, not by RQ's registries."""
        return False


def run_worker(
    queues: Sequence[str],
    connection: "Redis",
    name: str,
    handle: Handle,
    on_stop: Callable[[], None],
    *,
    burst: bool = False,
) -> None:
    """Take messages from `queues` until told to stop by SIGTERM or SIGINT; `burst`: until they are empty.

    `handle` runs a message and says whether its attempt was claimed; `on_stop` is called when the signal comes, while
    a message may be running.
    """
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    worker = NodeWorker(
        list(queues),
        connection=connection,
        name=name,
        serializer=JSONSerializer,
        worker_ttl=SILENCE_S,
        handle=handle,
        on_stop=on_stop,
    )
    stop = threading.Event()
    threading.Thread(target=worker.beat, args=(stop,), name="heartbeat", daemon=True).start()
    try:
        worker.work(burst=burst, logging_level="WARNING")
    finally:
        stop.set()


def message_for(attempt: AttemptId, node: PlannedNode) -> Message:
    """Return the message of an attempt at a planned node."""
    return Message(
        job=attempt.job,
        node=node.name,
        attempt=attempt.attempt,
        agent=node.agent,
        config=node.config,
        inputs=list(node.inputs),
    )
