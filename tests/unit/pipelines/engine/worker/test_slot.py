"""What a worker and its supervisor tell each other through shared memory."""

import os
import struct
import time

from hypothesis import given
from hypothesis import strategies as st

from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.worker.lease import leased
from pipelines.engine.worker.slot import NUMBER_AT, REASONS, AttemptSlot, Reason
from tests.unit.pipelines.engine.test_attempt_id import JOBS, NUMBERS

ATTEMPTS = st.builds(AttemptId, JOBS, NUMBERS, NUMBERS)


@given(ATTEMPTS, st.floats(0, 1e300), st.sampled_from(REASONS))
def test_what_is_put_in_is_read_and_its_stop_comes_back(attempt: AttemptId, timeout_s: float, reason: Reason) -> None:
    slot = AttemptSlot()
    before = time.monotonic()
    with leased(slot, attempt, timeout_s) as lease:
        found = slot.running()
        assert found is not None
        assert (found.key, found.phase) == (attempt.key(), "works")
        assert before + timeout_s <= found.deadline <= time.monotonic() + timeout_s
        assert lease.stop_reason is None
        slot.stop(found.number, reason)
        assert lease.stop_reason == reason
        assert lease.stop_wanted() == ("cancel" if reason == "cancel" else "pause")
    assert slot.running() is None


@given(st.lists(st.sampled_from(REASONS), min_size=1))
def test_a_stop_reaches_its_own_attempt_only(reasons: list[Reason]) -> None:
    slot, earlier = AttemptSlot(), []
    for number, reason in enumerate(reasons):
        with leased(slot, AttemptId("job_1", number, 1), 1.0) as lease:
            assert lease.stop_reason is None
            for old in earlier:
                slot.stop(old, reason)
            assert lease.stop_reason is None
            found = slot.running()
            assert found is not None
            earlier.append(found.number)


def test_phases_are_told() -> None:
    slot = AttemptSlot()
    with leased(slot, AttemptId("job_1", 0, 1), 1.0) as lease:
        with lease.apart():
            assert slot.running().phase == "apart"  # type: ignore[union-attr]
        assert slot.running().phase == "works"  # type: ignore[union-attr]
        lease.reports()
        assert slot.running().phase == "reports"  # type: ignore[union-attr]
        lease.hand_back()
        assert (lease.stop_reason, lease.stop_wanted()) == ("handed_back", "pause")


def test_what_a_killed_worker_left_half_written_is_not_read() -> None:
    slot = AttemptSlot()
    number = slot.take("job_1-0-1", 1.0)
    struct.pack_into("@Q", slot._memory, NUMBER_AT, number + 1)
    assert slot.running() is None
    assert slot.take("job_1-0-2", 1.0) == number + 2
    assert slot.running().key == "job_1-0-2"  # type: ignore[union-attr]


def test_a_fork_sees_the_same_memory() -> None:
    slot = AttemptSlot()
    child = os.fork()
    if not child:
        slot.take("job_1-7-3", 1.0)
        os._exit(0)
    os.waitpid(child, 0)
    assert slot.running().key == "job_1-7-3"  # type: ignore[union-attr]
