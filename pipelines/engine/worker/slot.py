"""What a worker runs at the moment, in memory that it shares with its supervisor: neither ever waits for the other."""

import mmap
import struct
import time
from dataclasses import dataclass
from typing import Literal, get_args

Reason = Literal["cancel", "pause", "handed_back", "lost", "timed_out"]
REASONS: tuple[Reason, ...] = get_args(Reason)
#: `works`: agent code runs in the worker itself; `apart`: it runs in a process of its own, which the worker watches;
#: `reports`: it has ended, and its end is being written.
Phase = Literal["idle", "works", "apart", "reports"]
PHASES: tuple[Phase, ...] = get_args(Phase)

#: In the machine's own format, so that each is written and read whole.
NUMBER, STOP, DEADLINE, KEY_BYTES = struct.Struct("@Q"), struct.Struct("@Q"), struct.Struct("@d"), struct.Struct("@H")
NUMBER_AT, STOP_AT, DEADLINE_AT, PHASE_AT, KEY_BYTES_AT, KEY_AT = 0, 8, 16, 24, 26, 32
SIZE = mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class Running:
    """What stands in a slot."""

    number: int
    """Counts what was put into the slot, so that a stop of one attempt never reaches the next."""
    key: str
    """`AttemptId.key`."""
    deadline: float
    """By `time.monotonic`, which all processes of a host share."""
    phase: Phase


class AttemptSlot:
    """Holds one attempt. Made before a fork, it is the same memory on both sides.

    The worker takes and leaves it, the supervisor reads it and writes stops into it. Its number is odd while the
    worker writes, so a reader knows what is not whole.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE)

    # -- the worker's side ---------------------------------------------------------------------

    def take(self, key: str, timeout_s: float) -> int:
        """Put an attempt in; return its number."""
        text, number = key.encode(), NUMBER.unpack_from(self._memory, NUMBER_AT)[0] | 1
        NUMBER.pack_into(self._memory, NUMBER_AT, number)
        DEADLINE.pack_into(self._memory, DEADLINE_AT, time.monotonic() + timeout_s)
        KEY_BYTES.pack_into(self._memory, KEY_BYTES_AT, len(text))
        self._memory[KEY_AT : KEY_AT + len(text)] = text
        self.turn("works")
        NUMBER.pack_into(self._memory, NUMBER_AT, number + 1)
        return int(number) + 1

    def turn(self, phase: Phase) -> None:
        """Say what is done for the attempt now; `idle`: nothing any more."""
        self._memory[PHASE_AT] = PHASES.index(phase)

    def stop_reason(self, number: int) -> Reason | None:
        """Return why this attempt is to stop."""
        stop = STOP.unpack_from(self._memory, STOP_AT)[0]
        return REASONS[stop % 8] if stop >> 3 == number else None

    # -- the supervisor's side -----------------------------------------------------------------

    def running(self) -> Running | None:
        """Return what is in the slot; None: nothing, or nothing whole yet."""
        number = NUMBER.unpack_from(self._memory, NUMBER_AT)[0]
        phase = PHASES[self._memory[PHASE_AT]]
        if phase == "idle" or number % 2:
            return None
        key_bytes = KEY_BYTES.unpack_from(self._memory, KEY_BYTES_AT)[0]
        key = self._memory[KEY_AT : KEY_AT + key_bytes]
        deadline = DEADLINE.unpack_from(self._memory, DEADLINE_AT)[0]
        if NUMBER.unpack_from(self._memory, NUMBER_AT)[0] != number:
            return None
        return Running(number, key.decode(), deadline, phase)

    def stop(self, number: int, reason: Reason) -> None:
        """Have this attempt stop, and no other."""
        STOP.pack_into(self._memory, STOP_AT, (number << 3) + REASONS.index(reason))
