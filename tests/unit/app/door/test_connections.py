"""Connections on real sockets: half-sent heads, slow bodies, readers that don't read, too many, and odd bytes."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from app.door import connections
from app.door.connections import BoundedServer, Bounds, Ledger, Progress
from app.settings import Settings

CHUNK = b"x" * 65536
HELLO = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
TOO_LONG = "The headers are larger than 65,536 bytes."
PATIENCE_S = 20.0


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer with how many bytes came; at /endless for ever."""
    if scope["type"] != "http":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    count, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        count, more = count + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-count", str(count).encode())]})
    while scope["path"] == "/endless":
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        if (await gone(receive)) is True:
            return
    await send({"type": "http.response.body", "body": b"done"})


async def gone(receive: Any) -> bool:
    """Say whether the client has gone, without waiting for it."""
    try:
        await asyncio.wait_for(receive(), 0.001)
    except TimeoutError:
        return False
    return True


@contextmanager
def served(**bounds: Any) -> Iterator[tuple[BoundedServer, int]]:
    """Serve the application; give the server and its port."""
    server = BoundedServer(application, Bounds(**{"head_timeout_s": 0.1, "idle_timeout_s": 0.1, **bounds}))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield server, listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def connected(port: int, *sent: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    for data in sent:
        made.sendall(data)
    return made


def all_of(connection: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    connection.close()
    return found


def first_line(connection: socket.socket) -> bytes:
    """Return the first line of an answer."""
    return connection.recv(65536).partition(b"\r\n")[0]


HALVES = [
    *(
        b"G",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: local",
        b"POST / HTTP/1.1\r\nHost: a\r\n",
    ),
    HELLO + b"GET /second HTTP/1.1\r\nHos",
]


@pytest.mark.parametrize("half", HALVES)
def test_a_head_that_is_not_sent_to_its_end_is_given_up(half: bytes) -> None:
    with served() as (server, port):
        answer = all_of(connected(port, half))

        assert b"The headers came too slowly" in answer or half.startswith(HELLO)
        assert server.ledger.open == set()


def test_a_connection_that_says_nothing_is_closed() -> None:
    with served() as (_, port):
        assert all_of(connected(port)) == b""


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    ],
)
def test_a_body_that_stands_still_is_given_up(head: bytes) -> None:
    with served() as (server, port):
        assert b"408" in all_of(connected(port, head))
        assert server.ledger.sending == {}


def test_an_answer_that_nobody_reads_ends() -> None:
    with served() as (server, port), connected(port, b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n") as connection:
        assert connection.recv(1) == b"H"
        # Nothing is read from here on: the next that this end hears is that the other has closed.
        until(lambda: not server.ledger.open)
        assert server.ledger.stalled == {}


def test_an_answer_that_is_read_slowly_goes_on() -> None:
    ledger, protocol = Ledger(Bounds(idle_timeout_s=10)), Pretended()
    ledger.stalled[protocol] = Progress(0.0, 1000)  # type: ignore[index]
    for now, left in ((9.0, 900), (18.0, 800), (27.0, 700)):
        protocol.left = left
        ledger.sweep(now)
    assert not protocol.aborted
    ledger.sweep(37.0)
    assert protocol.aborted


def test_a_body_that_comes_at_a_trickle_is_given_up_and_a_slow_one_is_not() -> None:
    for rate, refused in ((connections.BODY_BYTES_PER_S - 1, True), (connections.BODY_BYTES_PER_S, False)):
        ledger, protocol = Ledger(Bounds(idle_timeout_s=10)), Pretended()
        ledger.sending[protocol] = progress = Progress(0.0)  # type: ignore[index]
        for now in range(60):
            progress.count += rate
            ledger.sweep(float(now + 1))
        assert bool(protocol.refused) is refused


def test_where_we_do_not_read_a_sender_is_not_slow() -> None:
    ledger, protocol = Ledger(Bounds(idle_timeout_s=10)), Pretended()
    protocol.flow.read_paused = True
    ledger.sending[protocol] = Progress(0.0)  # type: ignore[index]
    for now in range(60):
        ledger.sweep(float(now))
    assert protocol.refused == []


@pytest.mark.parametrize("half", [b"", b"GET / HTTP/1.1\r\nHos", HELLO])
def test_however_many_wait_the_next_is_answered(half: bytes) -> None:
    with served(connections_most=20, head_timeout_s=3600.0) as (server, port), ExitStack() as kept:
        for _ in range(100):
            kept.enter_context(connected(port, half))
        for _ in range(30):
            assert first_line(kept.enter_context(connected(port, HELLO))) == b"HTTP/1.1 200 OK"
        assert len(server.ledger.open) <= 20


def test_where_all_are_at_work_the_next_is_told_to_come_again() -> None:
    with served(connections_most=5, idle_timeout_s=3600.0) as (server, port), ExitStack() as kept:
        for _ in range(5):
            kept.enter_context(connected(port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"))
        until(lambda: len(server.ledger.sending) == 5)
        answer = all_of(connected(port, HELLO))

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in answer


ODD = [
    *(b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n\r\n\r\nx\r\n", b"GET\r\n\r\n", b"GET  / HTTP/9.9\r\n\r\n", b"\x00" * 100),
    *(
        b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ),
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"GET /" + b"\xff\xfe" * 20 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_http_is_refused_without_a_word_in_the_log(odd: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with served() as (_, port):
        answer = all_of(connected(port, odd))

        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))
        assert first_line(connected(port, HELLO)) == b"HTTP/1.1 200 OK"
    assert caplog.records == []


def test_headers_without_end_are_refused() -> None:
    with served(head_timeout_s=3600.0) as (server, port), connected(port, b"GET / HTTP/1.1\r\n") as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            for number in range(10_000):
                connection.sendall(b"X-%d: " % number + b"y" * 4000 + b"\r\n")
        assert all_of(connection) in {b"", connections._answer(431, "TOO_LARGE", TOO_LONG)}
        assert server.ledger.open == set()


def test_requests_in_order_are_answered_on_one_connection() -> None:
    body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    with served() as (server, port), connected(port) as connection:
        for _ in range(20):
            connection.sendall(body)
            answer = connection.recv(65536)
            while b"done" not in answer:
                answer += connection.recv(65536)
            assert b"x-count: 5" in answer
            assert b"server:" not in answer.lower()
        connection.sendall(HELLO * 5)
        found = b""
        while found.count(b"done") < 5:
            found += connection.recv(65536)
        assert len(server.ledger.open) == 1


def test_connections_stay_below_the_files_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"soft": 1024, "hard": 1024}
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (limits["soft"], limits["hard"]))
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, found: limits.update(soft=found[0]))
    assert Bounds.of(Settings(_env_file=None)).connections_most == 624
    limits["hard"] = 1 << 20
    assert Bounds.of(Settings(_env_file=None)).connections_most == 1000
    assert limits["soft"] == 1400


class Pretended:
    """Stands for a connection where only the sweep is looked at."""

    def __init__(self) -> None:
        self.refused: list[int] = []
        self.aborted = False
        self.left = 0
        self.transport = self.flow = self
        self.read_paused = False

    def refuse(self, status: int, code: str, message: str) -> None:
        self.refused.append(status)

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.aborted = True


def until(holds: Any) -> None:
    """Return once something holds; the server says so within a sweep or two."""
    turn = threading.Event()
    for _ in range(int(PATIENCE_S * 100)):
        if holds():
            return
        turn.wait(0.01)
    raise AssertionError("it never came")
