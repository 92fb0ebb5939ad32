"""A job's share of a queue: so many of its messages wait there at once, the rest follow as these are claimed.

So a job of 10,000 nodes holds up a small one no longer than its share does. As long as messages are held back, at least
one of the same job and queue is on its way: each claim sends the next in its own transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from redis.client import Pipeline

from pipelines.engine.state import keys

#: Sends as many of the messages as the share lets, and holds the others back; all where some are held back already.
SEND = """
local room = redis.call('EXISTS', KEYS[2]) == 0 and tonumber(ARGV[1]) or 0
for i = 4, #ARGV do
  if i - 3 <= room then
    redis.call('RPUSH', KEYS[1], ARGV[i])
    redis.call('ZADD', KEYS[3], ARGV[2], ARGV[i])
  else
    redis.call('RPUSH', KEYS[2], ARGV[i])
  end
end
if room < #ARGV - 3 then redis.call('ZADD', KEYS[4], ARGV[2], ARGV[3]) end
"""
#: Sends the next message that is held back, if there is one.
NEXT = """
local id = redis.call('LMOVE', KEYS[2], KEYS[1], 'LEFT', 'RIGHT')
if not id then return 0 end
redis.call('ZADD', KEYS[3], ARGV[1], id)
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('ZADD', KEYS[4], ARGV[1], ARGV[2])
else redis.call('ZREM', KEYS[4], ARGV[2]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Share:
    """One job's share of one queue, written as part of the caller's transactions."""

    job: str
    queue: str
    queue_key: str
    """The list that workers take messages from."""

    def send(self, pipe: Pipeline, messages: Sequence[str], most: int, now: float) -> None:
        """Send the first messages, at most so many, and hold the others back."""
        pipe.eval(SEND, 4, *self._keys(), most, now, self._member(), *messages)

    def send_next(self, pipe: Pipeline, now: float) -> None:
        """Send one that was held back; it answers whether there was one."""
        pipe.eval(NEXT, 4, *self._keys(), now, self._member())

    def drop(self, pipe: Pipeline) -> None:
        """Forget what is held back: no node of the job is to run now."""
        pipe.delete(keys.held(self.job, self.queue))
        pipe.zrem(keys.HOLDING, self._member())

    def _keys(self) -> tuple[str, ...]:
        return self.queue_key, keys.held(self.job, self.queue), keys.SENT, keys.HOLDING

    def _member(self) -> str:
        return f"{self.job} {self.queue}"


def held_by(member: bytes) -> tuple[str, str]:
    """Return the job and the queue that an entry of `keys.HOLDING` names."""
    job, _, queue = member.decode().partition(" ")
    return job, queue
