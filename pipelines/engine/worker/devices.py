"""Devices of this host (GPUs), lent to attempts by free memory: a reservation counts as long as its attempt's lease.

So nothing has to renew or free it: the transaction that ends an attempt removes it, and where the worker was killed
it counts no more once the sweeper has given the lease up. Reservations are kept by the device's UUID, so that
containers that share a GPU share its account.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import structlog
from redis import Redis, RedisError

from agents.base.errors import Fenced
from agents.base.records import DeviceNeed
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys

log = structlog.get_logger()
#: How often devices are looked at by an attempt that waits for one.
RETRY_S = 1.0
#: How often a host says what devices it has, and when what it said is forgotten.
REPORT_EVERY_S = 10.0
REPORT_TTL_S = 30
#: What is needed beyond this share of a device never fits beside CUDA's own memory: it gets the whole device.
WHOLE_SHARE = 0.9

#: Reserves on `count` devices or on none, for an attempt that holds its lease. Beside the living reservations it
#: counts what others use: memory in use beyond all that was reserved, at least as much as was seen before, because
#: an attempt that has just begun does not use yet what it has reserved. Returns device number and MiB in turn.
RESERVE = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == false then return false end
local wanted, count, fitting = tonumber(ARGV[2]), tonumber(ARGV[3]), {}
for i = 2, #KEYS do
  local total, free = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local reserved, others, living = 0, 0, 0
  local records = redis.call('HGETALL', KEYS[i])
  for j = 1, #records, 2 do
    if records[j] == ARGV[1] or redis.call('ZSCORE', KEYS[1], records[j]) == false then
      redis.call('HDEL', KEYS[i], records[j])
    else
      local record = cjson.decode(records[j + 1])
      living, reserved, others = living + 1, reserved + record.mib, math.max(others, record.others_mib)
    end
  end
  others = math.min(total - free, math.max(others, total - free - reserved))
  local room = math.min(total - others - reserved, free)
  if wanted == 0 or wanted > total * tonumber(ARGV[4]) then
    if living == 0 and free * 2 >= total then
      table.insert(fitting, {number = i - 2, room = room, mib = room, others = others})
    end
  elseif wanted <= room then
    table.insert(fitting, {number = i - 2, room = room, mib = wanted, others = others})
  end
end
if #fitting < count then return {} end
table.sort(fitting, function(a, b)
  if a.room ~= b.room then return a.room > b.room end
  return a.number < b.number
end)
local answer = {}
for i = 1, count do
  local found = fitting[i]
  redis.call('HSET', KEYS[found.number + 2], ARGV[1], cjson.encode({mib = found.mib, others_mib = found.others}))
  table.insert(answer, found.number)
  table.insert(answer, found.mib)
end
return answer
"""


@dataclass(frozen=True)
class Device:
    """One device as it is now."""

    index: int
    uuid: str
    name: str
    total_mib: int
    free_mib: int


#: Looks at this host's devices; None where it has no tool to look with, so that there is nothing to lend.
Probe = Callable[[], Sequence[Device] | None]


@dataclass(frozen=True)
class DeviceLease:
    """The devices an attempt may use, none of them where it has to do with the CPU."""

    devices: tuple[Device, ...] = ()
    mib: int | None = None
    """On each of them."""

    @property
    def environment(self) -> dict[str, str]:
        """What the agent's process must have set before CUDA starts in it."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(device.uuid for device in self.devices)}

    def commands(self, attempt: AttemptId) -> list[tuple[str, ...]]:
        """Redis commands that free them, for the transaction that ends the attempt."""
        return [("HDEL", keys.device(device.uuid), attempt.key()) for device in self.devices]


class DevicePool:
    """Lends the devices of this host."""

    def __init__(
        self, connection: "Redis", host: str, probe: Probe, *, wait_s: float, default_mib: int, retry_s: float = RETRY_S
    ) -> None:
        """`default_mib`: what an agent gets that can't say what it needs; 0: a whole device."""
        self._connection = connection
        self._host = host
        self._probe = probe
        self._wait_s = wait_s
        self._default_mib = default_mib
        self._retry_s = retry_s
        self._script = connection.register_script(RESERVE)

    def lend(
        self,
        attempt: AttemptId,
        need: Callable[[], DeviceNeed],
        *,
        say: Callable[..., None],
        stopped: Callable[[], bool],
    ) -> DeviceLease | None:
        """Reserve what an attempt needs, waiting for it; an empty device_lease where nothing came free in time.

        `need` is asked only where there is something to lend; `say` is called with an event and its fields.

        Returns:
            None where this host has nothing to manage; nothing was asked of Redis then.

        Raises:
            Fenced: the attempt holds no lease any more.
        """
        devices = self._probe()
        if devices is None:
            return None
        wanted = need() if devices else DeviceNeed()
        if not wanted.count:
            return DeviceLease()
        deadline, waited = time.monotonic() + self._wait_s, False
        while devices and not stopped():
            device_lease = self.reserve(attempt, wanted, devices)
            if device_lease.devices:
                names = [f"{device.index}: {device.name}" for device in device_lease.devices]
                say("device_leased", devices=names, mib=device_lease.mib)
                return device_lease
            if time.monotonic() >= deadline:
                break
            if not waited:
                say("device_awaited", mib=wanted.mib or self._default_mib or None, wait_s=self._wait_s)
                waited = True
            time.sleep(min(self._retry_s, max(0.0, deadline - time.monotonic())))
            devices = self._probe() or ()
        if not stopped():
            why = f"none came free in {self._wait_s:g} s" if devices else "there is none"
            say("device_none", level="warning" if devices else "info", why=why, runs_on="cpu")
        return DeviceLease()

    def reserve(self, attempt: AttemptId, need: DeviceNeed, devices: Sequence[Device]) -> DeviceLease:
        """Reserve on as many devices as are needed, those with most room first, or on none.

        More devices than there are are not waited for: the agent says itself that it can't do with fewer.

        Raises:
            Fenced: the attempt holds no lease any more.
        """
        wanted = self._default_mib if need.mib is None else need.mib
        figures = [figure for device in devices for figure in (device.total_mib, device.free_mib)]
        answer = self._script(
            keys=[keys.LEASES, *(keys.device(device.uuid) for device in devices)],
            args=[attempt.key(), wanted, min(need.count, len(devices)), WHOLE_SHARE, *figures],
        )
        if answer is None:
            raise Fenced(f"'{attempt.key()}' holds no lease any more: no device was reserved for it.")
        numbers, sizes = answer[::2], answer[1::2]
        return DeviceLease(tuple(devices[number] for number in numbers), min(sizes, default=None))

    # -- for people ----------------------------------------------------------------------------

    def report(self, devices: Sequence[Device]) -> None:
        """Say what devices this host has; it is forgotten after `REPORT_TTL_S`."""
        text = json.dumps([asdict(device) for device in devices])
        self._connection.set(keys.devices(self._host), text, ex=REPORT_TTL_S)

    def report_until(self, stop: threading.Event) -> None:
        """Say it again and again until `stop` is set; return at once where there is nothing to manage."""
        while (devices := self._probe()) is not None:
            try:
                self.report(devices)
            except RedisError as fault:
                log.warning("devices_not_reported", message=str(fault))
            if stop.wait(REPORT_EVERY_S):
                return
