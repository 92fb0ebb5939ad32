"""The unit tier needs nothing: no server, no network, no program but a short one in Python."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

LOOPBACK = ("127.", "::1", "localhost")
CURE = "a unit test needs nothing from outside: move it to tests/servers"


class Guard:
    """Refuses what a unit test may not use, and remembers it in case the refusal is caught on its way."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def check_host(self, host: object) -> None:
        """Raise `AssertionError` unless the host is this one."""
        if host not in (None, "") and not str(host).startswith(LOOPBACK):
            self._refuse(f"a connection to {host}")

    def check_program(self, command: Any) -> None:
        """Raise `AssertionError` unless it is a short program for this Python, given in the command itself."""
        words = [os.fsdecode(word) for word in ([command] if isinstance(command, str | bytes) else command)]
        if words[:2] != [sys.executable, "-c"]:
            self._refuse(f"the program {' '.join(words)}")

    def _refuse(self, what: str) -> None:
        self.refused.append(what)
        raise AssertionError(f"{what}: {CURE}")


@pytest.fixture(autouse=True)
def guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    """Every unit test runs under a guard, and fails if anything was refused."""
    found = Guard()
    _guard_connections(found, monkeypatch)
    _guard_programs(found, monkeypatch)
    yield found
    assert found.refused == [], CURE


@pytest.fixture(scope="session")
def s3_server() -> None:
    pytest.fail(f"an S3 server: {CURE}")


@pytest.fixture(scope="session")
def valkey_server() -> None:
    pytest.fail(f"a Valkey server: {CURE}")


def _guard_connections(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def guarded_resolve(host: object, *rest: Any, **options: Any) -> Any:
        guard.check_host(host)
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)
    for name in ("connect", "connect_ex"):
        connect = getattr(socket.socket, name)

        def guarded_connect(self: socket.socket, address: Any, connect: Any = connect) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                guard.check_host(address[0])
            return connect(self, address)

        monkeypatch.setattr(socket.socket, name, guarded_connect)


def _guard_programs(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen.__init__

    def guarded_start(self: Any, args: Any, *rest: Any, **options: Any) -> None:
        guard.check_program(args)
        start(self, args, *rest, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", guarded_start)
