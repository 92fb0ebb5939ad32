"""A load generator for HTTP: connections that are kept, one request at a time on each, and the time of every answer."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import cast

import uvloop

from benchmarks._key import KEY


@dataclass(frozen=True)
class Load:
    """What a server did under a load: requests a second, and percentiles of the time to an answer in milliseconds."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float


def load(port: int, path: str, bodies: Sequence[object], concurrency: int, seconds: float) -> Load:
    """Ask with `concurrency` connections for so long, going round the bodies; the first tenth is not counted.

    Raises:
        RuntimeError: an answer is not a 200.
    """
    requests = cycle([_request(port, path, json.dumps(body).encode()) for body in bodies])
    return uvloop.run(_load(port, requests, concurrency, seconds))


async def _load(port: int, requests: Iterator[bytes], concurrency: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    counted_from = time.perf_counter() + seconds / 10
    until = time.perf_counter() + seconds
    done = [loop.create_future() for _ in range(concurrency)]
    clients: list[_Client] = []
    for ended in done:
        _, client = await loop.create_connection(_maker(requests, until, ended), "127.0.0.1", port)
        clients.append(client)
    await asyncio.wait_for(asyncio.gather(*done), seconds + 60)
    times_s = sorted(took for client in clients for at, took in client.times_s if at >= counted_from)
    return Load(
        requests_per_s=len(times_s) / (seconds * 0.9),
        p50_ms=times_s[len(times_s) // 2] * 1e3,
        p99_ms=times_s[int(len(times_s) * 0.99)] * 1e3,
    )


class _Client(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], until: float, ended: "asyncio.Future[None]") -> None:
        self.times_s: list[tuple[float, float]] = []
        self._requests, self._until, self._ended = requests, until, ended
        self._received = b""
        self._asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport, they only do what one does.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        now = time.perf_counter()
        self.times_s.append((now, now - self._asked_at))
        if not head.startswith(b"HTTP/1.1 200 "):
            self._end(RuntimeError(f"It answered {self._received[:300]!r}."))
        elif now >= self._until:
            self._end(None)
        else:
            self._received = b""
            self._ask()

    def connection_lost(self, fault: Exception | None) -> None:
        self._end(RuntimeError(f"The connection was closed: {fault}."))

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def _end(self, fault: Exception | None) -> None:
        if self._ended.done():
            return
        if fault:
            self._ended.set_exception(fault)
        else:
            self._ended.set_result(None)
        self._transport.close()


def _maker(requests: Iterator[bytes], until: float, ended: "asyncio.Future[None]") -> Callable[[], _Client]:
    return lambda: _Client(requests, until, ended)


def _request(port: int, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
