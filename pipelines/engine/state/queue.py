"""The queues: one small JSON message per attempt.

RQ is a pipe here: order, retries, leases and results are the engine's own, so its `depends_on`, result store,
registries and worker stay unused. What it lends is the format of messages, queues and living workers in Redis.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq import Queue, Worker
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job as QueuedMessage
from rq.serializers import JSONSerializer
from rq.worker_registration import REDIS_WORKER_KEYS

from agents.base.identifiers import is_name
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state.message import Message
from pipelines.plan import PlannedNode

#: The path that messages carry. Workers are given what handles a message and never look at it; those of older releases
#: call what it names, so it stays as it is while they may run beside these.
HANDLER = "app.worker.handle"
NO_TIMEOUT = -1
#: RQ keeps the name of every queue there ever was. Asked and removed at once: a message may come any moment.
FORGET_EMPTY = """
local prefix = string.sub(KEYS[1], 1, -#ARGV[1] - 1)
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.pcall('LLEN', prefix .. queue) == 0 then redis.call('SREM', KEYS[1], queue) end
end
"""


@dataclass(frozen=True, slots=True)
class ListeningWorker:
    """A worker that takes messages."""

    name: str
    queues: tuple[str, ...]
    host: str
    pid: int


class _UnsentQueue(Queue):  # type: ignore[misc]
    """Writes messages without their ids into the queue's list."""

    def push_job_id(self, *_: Any, **__: Any) -> None:
        """Nothing."""


class NodeQueues:
    """All queues on one Redis."""

    def __init__(self, connection: "Redis") -> None:
        self._connection = connection
        self._queues: dict[str, Queue] = {}
        self._forget_empty = connection.register_script(FORGET_EMPTY)

    def send(self, queue: str, messages: Sequence[tuple[str, Message]], pipeline: Pipeline) -> None:
        """Add messages, each with its id, to a queue, as part of the caller's transaction."""
        self._write(self._queue(queue), messages, pipeline)

    def keep(self, queue: str, messages: Sequence[tuple[str, Message]], pipeline: Pipeline) -> None:
        """Write messages down that go to a queue by their ids, then or later, in the caller's transaction."""
        self._write(_UnsentQueue(queue, connection=self._connection, serializer=JSONSerializer), messages, pipeline)

    def key(self, queue: str) -> str:
        """Return the list that workers take the messages of a queue from."""
        return str(self._queue(queue).key)

    @staticmethod
    def _write(queue: Queue, messages: Sequence[tuple[str, Message]], pipeline: Pipeline) -> None:
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
        queue.enqueue_many(rows, pipeline=pipeline)

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
        self._forget_empty(keys=[Queue.redis_queues_keys], args=[Queue.redis_queues_keys])

    def workers(self) -> list[ListeningWorker]:
        """Return the living workers."""
        names = sorted(key.decode() for key in self._connection.smembers(REDIS_WORKER_KEYS))
        with self._connection.pipeline(transaction=False) as pipe:
            for key in names:
                pipe.hgetall(key)
            found = dict(zip(names, pipe.execute(), strict=True))
        if gone := [key for key, entry in found.items() if not entry]:
            # Nothing else takes out those that were killed. One that lives after all is back with its next beat.
            self._connection.srem(REDIS_WORKER_KEYS, *gone)
        return [_listening(key, entry) for key, entry in found.items() if b"queues" in entry and b"death" not in entry]

    def _queue(self, name: str) -> Queue:
        if name not in self._queues:
            self._queues[name] = Queue(name, connection=self._connection, serializer=JSONSerializer)
        return self._queues[name]


def _listening(key: str, entry: dict[bytes, bytes]) -> ListeningWorker:
    name = key.removeprefix(Worker.redis_worker_namespace_prefix)
    host, pid = entry.get(b"hostname", b"").decode(), int(entry.get(b"pid", b"0"))
    return ListeningWorker(name, tuple(entry[b"queues"].decode().split(",")), host, pid)


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
