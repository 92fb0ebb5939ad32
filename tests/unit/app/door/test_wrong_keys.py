"""Wrong keys are counted by who sends them, within a bound."""

from structlog.testing import capture_logs

from app.door.wrong_keys import LINES_MOST, PEERS_MOST, TRIES_MOST, WINDOW_S, WrongKeys, network_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_peer_has_tries_of_its_own_and_gets_them_back() -> None:
    clock = Clock()
    keys = WrongKeys(clock)
    waits = [keys.note("10.0.0.1") for _ in range(TRIES_MOST + 2)]

    assert waits == [0] * TRIES_MOST + [60, 60]
    assert keys.note("10.0.0.2") == 0
    clock.now = WINDOW_S
    assert keys.note("10.0.0.1") == 0
    assert keys.total == TRIES_MOST + 4


def test_one_customer_of_ipv6_is_one_peer() -> None:
    keys = WrongKeys(Clock())
    waits = [keys.note(f"2001:db8:0:1::{number:x}") for number in range(TRIES_MOST + 1)]

    assert waits[-1] > 0
    assert keys.note("2001:db8:0:2::1") == 0
    assert (network_of("::ffff:10.0.0.1"), network_of("a name")) == ("::ffff:10.0.0.1", "a name")


def test_neither_memory_nor_the_log_can_be_filled() -> None:
    clock = Clock()
    keys = WrongKeys(clock)
    with capture_logs() as lines:
        for number in range(2 * PEERS_MOST):
            keys.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        clock.now = WINDOW_S
        keys.note("10.0.0.1")

    assert len(keys._peers) == PEERS_MOST
    assert len(lines) == LINES_MOST + 1
    assert lines[-1] == {
        "event": "wrong_key",
        "log_level": "warning",
        "peer": "10.0.0.1",
        "in_this_minute": 1,
        "since_the_start": 2 * PEERS_MOST + 1,
    }


def test_no_key_is_written_down() -> None:
    with capture_logs() as lines:
        WrongKeys(Clock()).note("10.0.0.1")

    assert set(lines[0]) == {"event", "log_level", "peer", "in_this_minute", "since_the_start"}
