"""Devices lent by free memory: the account in Redis, given devices as data."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis

from agents.base.errors import Fenced
from agents.base.records import DeviceNeed
from app.processes.embedded import Server
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys
from pipelines.engine.state.fleet import FleetState, Reservation
from pipelines.engine.state.store import JobStore
from pipelines.engine.worker.devices import Device, DeviceLease, DevicePool
from pipelines.judge import judge
from tests.support.agents import TEST_AGENTS, echo, spec

GPU = Device(0, "GPU-a", "H200", total_mib=16_000, free_mib=16_000)
SECOND = Device(1, "GPU-b", "H200", total_mib=16_000, free_mib=12_000)
SMALL = DeviceNeed(mib=6_000)


def at(node: str) -> AttemptId:
    """Return the first attempt at a node: `a` is the job's first, `b` its second, and so on; or a number."""
    return AttemptId("job", int(node) if node.isdigit() else ord(node) - ord("a"), 1)


def lease(connection: redis.Redis, node: str) -> AttemptId:
    """Give an attempt a lease and return it."""
    connection.zadd(keys.LEASES, {at(node).key(): 1})
    return at(node)


def pool(connection: redis.Redis, *devices: Device, wait_s: float = 0.0, default_mib: int = 0) -> DevicePool:
    return DevicePool(connection, "host", lambda: devices, wait_s=wait_s, default_mib=default_mib, retry_s=0.01)


def uuids(lent: DeviceLease | None) -> list[str]:
    assert lent is not None
    return [device.uuid for device in lent.devices]


@pytest.fixture
def reserve(connection: redis.Redis) -> Callable[..., DeviceLease]:
    """Return a function that reserves for a node of its own lease."""

    def call(node: str, need: DeviceNeed, *devices: Device) -> DeviceLease:
        return pool(connection).reserve(lease(connection, node), need, devices or (GPU,))

    return call


Reserve = Callable[..., DeviceLease]


def test_jobs_share_a_device_while_they_fit(reserve: Reserve) -> None:
    assert [uuids(reserve(node, SMALL)) for node in ("a", "b", "c")] == [["GPU-a"], ["GPU-a"], []]
    assert uuids(reserve("d", DeviceNeed(mib=4_000))) == ["GPU-a"]


def test_a_reservation_ends_with_its_lease(connection: redis.Redis, reserve: Reserve) -> None:
    reserve("a", SMALL), reserve("b", SMALL)
    connection.zrem(keys.LEASES, "job-0-1")

    assert uuids(reserve("c", SMALL)) == ["GPU-a"]
    assert set(connection.hkeys(keys.device("GPU-a"))) == {b"job-1-1", b"job-2-1"}


def test_nothing_is_reserved_without_a_lease(connection: redis.Redis) -> None:
    with pytest.raises(Fenced, match="no lease"):
        pool(connection).reserve(at("z"), SMALL, [GPU])
    assert not connection.exists(keys.device("GPU-a"))


def test_a_question_sent_twice_counts_once(connection: redis.Redis, reserve: Reserve) -> None:
    for _ in range(2):
        assert uuids(reserve("a", DeviceNeed(mib=10_000))) == ["GPU-a"]
    assert connection.hlen(keys.device("GPU-a")) == 1


def test_what_others_use_is_not_lent_twice(reserve: Reserve) -> None:
    # Serving holds 8,000; the first attempt has reserved 6,000 and not used any of it yet.
    beside_serving = replace(GPU, free_mib=8_000)
    reserve("a", SMALL, beside_serving)

    assert uuids(reserve("b", SMALL, beside_serving)) == []
    assert uuids(reserve("c", DeviceNeed(mib=2_000), replace(beside_serving, free_mib=2_500))) == ["GPU-a"]


def test_memory_that_an_attempt_has_taken_counts_once(reserve: Reserve) -> None:
    reserve("a", SMALL)

    assert uuids(reserve("b", DeviceNeed(mib=9_000), replace(GPU, free_mib=10_200))) == ["GPU-a"]


def test_no_more_is_lent_than_is_really_free(reserve: Reserve) -> None:
    reserve("a", DeviceNeed(mib=4_000))

    assert uuids(reserve("b", SMALL, replace(GPU, free_mib=5_000))) == []


@pytest.mark.parametrize("need", [DeviceNeed(), DeviceNeed(mib=40_000)], ids=["unknown", "larger than the device"])
def test_an_unknown_or_too_large_need_gets_a_device_to_itself(reserve: Reserve, need: DeviceNeed) -> None:
    lent = reserve("a", need, replace(GPU, free_mib=15_500))

    assert (uuids(lent), lent.mib) == (["GPU-a"], 15_500)
    assert uuids(reserve("b", DeviceNeed(mib=1_000))) == []


def test_a_device_is_lent_whole_only_where_nobody_has_some(reserve: Reserve) -> None:
    reserve("a", SMALL)

    assert uuids(reserve("b", DeviceNeed())) == []
    assert uuids(reserve("c", DeviceNeed(), replace(SECOND, free_mib=7_000))) == []


def test_the_setting_stands_in_for_an_unknown_need(connection: redis.Redis) -> None:
    lent = pool(connection, default_mib=5_000).reserve(lease(connection, "a"), DeviceNeed(), [GPU])

    assert lent.mib == 5_000


def test_the_device_with_most_room_is_lent_first(reserve: Reserve) -> None:
    assert [uuids(reserve(node, SMALL, SECOND, GPU)) for node in "abcde"] == [
        ["GPU-a"],
        ["GPU-b"],
        ["GPU-a"],
        ["GPU-b"],
        [],
    ]


def test_several_devices_are_lent_together_or_not_at_all(connection: redis.Redis, reserve: Reserve) -> None:
    pair = DeviceNeed(mib=7_000, count=2)
    lent = reserve("a", pair, GPU, SECOND)

    assert lent.environment == {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}
    assert uuids(reserve("b", pair, GPU, SECOND)) == []
    assert connection.hlen(keys.device("GPU-a")) == 1
    assert uuids(reserve("c", DeviceNeed(mib=100, count=3), GPU, SECOND)) == ["GPU-a", "GPU-b"]


def test_at_once_no_more_is_lent_than_there_is(connection: redis.Redis, valkey_server: Server) -> None:
    names = [lease(connection, str(number)) for number in range(24)]
    together = threading.Barrier(8)

    def ask(numbers: Sequence[AttemptId]) -> int:
        own = redis.Redis(port=valkey_server.port)
        together.wait()
        lent = [pool(own).reserve(name, DeviceNeed(mib=3_000, count=2), [GPU, SECOND]) for name in numbers]
        own.close()
        return sum(bool(each.devices) for each in lent)

    with ThreadPoolExecutor(8) as threads:
        granted = sum(threads.map(ask, [names[start::8] for start in range(8)]))

    assert granted == 4  # 12,000 MiB are free on the second.
    assert {connection.hlen(keys.device(uuid)) for uuid in ("GPU-a", "GPU-b")} == {4}


# -- lending ----------------------------------------------------------------------------------


class Said(list[str]):
    """Keeps the events that are said."""

    def __call__(self, event: str, **fields: object) -> None:
        self.append(event)


def test_a_host_without_the_tool_asks_nothing_of_redis() -> None:
    nowhere = redis.Redis(port=1)
    none = DevicePool(nowhere, "host", lambda: None, wait_s=60, default_mib=0)

    assert none.lend(at("a"), lambda: SMALL, say=Said(), stopped=lambda: False) is None
    none.report_until(threading.Event())


def test_without_a_device_it_is_the_cpu_at_once(connection: redis.Redis) -> None:
    said = Said()
    lent = pool(connection, wait_s=60).lend(lease(connection, "a"), lambda: SMALL, say=said, stopped=lambda: False)

    assert lent is not None
    assert lent.environment == {"CUDA_VISIBLE_DEVICES": ""}
    assert said == ["device_none"]


def test_who_needs_none_is_shown_none(connection: redis.Redis) -> None:
    said = Said()
    lent = pool(connection, GPU).lend(at("a"), lambda: DeviceNeed(count=0), say=said, stopped=lambda: False)

    assert (lent, said) == (DeviceLease(), [])


def test_past_the_wait_it_is_the_cpu(connection: redis.Redis, reserve: Reserve) -> None:
    said = Said()
    reserve("a", DeviceNeed())
    lent = pool(connection, GPU, wait_s=0.05).lend(
        lease(connection, "b"), lambda: SMALL, say=said, stopped=lambda: False
    )

    assert (uuids(lent), said) == ([], ["device_awaited", "device_none"])


def test_what_comes_free_is_lent_to_who_waits(connection: redis.Redis, reserve: Reserve) -> None:
    held = reserve("a", DeviceNeed())

    def say(event: str, **_: object) -> None:
        if event == "device_awaited":
            connection.execute_command(*held.commands(at("a"))[0])

    lent = pool(connection, GPU, wait_s=60).lend(lease(connection, "b"), lambda: SMALL, say=say, stopped=lambda: False)

    assert uuids(lent) == ["GPU-a"]


def test_a_stop_ends_the_wait(connection: redis.Redis, reserve: Reserve) -> None:
    said = Said()
    reserve("a", DeviceNeed())
    lent = pool(connection, GPU, wait_s=60).lend(
        lease(connection, "b"), lambda: SMALL, say=said, stopped=lambda: bool(said)
    )

    assert (uuids(lent), said) == ([], ["device_awaited"])


def test_a_report_shows_the_reservations_that_count(connection: redis.Redis, reserve: Reserve) -> None:
    reserve("a", SMALL), reserve("b", SMALL)
    connection.zrem(keys.LEASES, "job-0-1")
    pool(connection).report([GPU])

    connection.set(keys.plan("job"), judge(spec({"a": echo(), "b": echo()}), {}, TEST_AGENTS).model_dump_json())
    store = JobStore(connection, lease_ttl_s=1.0, log_max_entries=1000, queue_share=20)

    (host,) = FleetState(store).hosts(["elsewhere", "host"])
    (device,) = host.devices

    assert host.host == "host"
    assert (device.name, device.total_mib, device.reserved_mib) == ("H200", 16_000, 6_000)
    assert device.reservations == (Reservation("job/b", attempt=1, mib=6_000),)
    assert 0 < connection.ttl(keys.devices("host")) <= 30
