"""The guard of the unit tier: servers, programs and the network are refused, also where the refusal is caught."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.processes.embedded import start_s3, start_valkey
from tests.unit.conftest import CURE, Guard

#: Of the range that is set aside for documentation: nobody has it.
ELSEWHERE = "192.0.2.1"


@pytest.mark.parametrize("server", ["s3_server", "valkey_server"])
def test_the_servers_of_the_run_are_not_handed_out(server: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.fail.Exception, match=CURE):
        request.getfixturevalue(server)


def test_a_server_can_not_be_started(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=CURE):
        start_valkey(tmp_path)
    with pytest.raises(AssertionError, match=CURE):
        start_s3(tmp_path, "key", "secret")
    with pytest.raises(AssertionError, match=CURE):
        subprocess.run([sys.executable, "-m", "app.cli", "up"], check=True)

    assert len(guard.refused) == 3
    guard.refused.clear()


def test_no_host_but_this_one_can_be_reached(guard: Guard) -> None:
    with pytest.raises(AssertionError, match=CURE):
        socket.create_connection((ELSEWHERE, 80), timeout=0.1)
    with socket.socket() as plain, pytest.raises(AssertionError, match=CURE):
        plain.connect((ELSEWHERE, 80))

    assert guard.refused == [f"a connection to {ELSEWHERE}"] * 2
    guard.refused.clear()


def test_a_refusal_that_is_caught_is_remembered(guard: Guard) -> None:
    with contextlib.suppress(AssertionError):
        socket.create_connection((ELSEWHERE, 80), timeout=0.1)

    assert guard.refused == [f"a connection to {ELSEWHERE}"]
    guard.refused.clear()


def test_this_host_and_short_programs_are_allowed(guard: Guard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(listener.getsockname()).close()
    done = subprocess.run([sys.executable, "-c", "print(1)"], check=True, capture_output=True, text=True)

    assert (done.stdout, guard.refused) == ("1\n", [])
