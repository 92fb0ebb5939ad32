"""Connections with bounds: how many there are, and how long each may say nothing, send slowly, or not read.

One sweep a second looks at those that wait, so that a request that comes and goes in order costs next to nothing.
"""

import asyncio
import json
import resource
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.settings import Settings

#: A request's line and headers together.
HEAD_BYTES_MOST = 64 << 10
#: A body that comes slower than this over the idle time stands still.
BODY_BYTES_PER_S = 256
#: Files beside connections: libraries, the store, the database, what is accepted before it is closed again.
OTHER_FILES = 300
#: Connections that the system has accepted before we have.
BACKLOG = 256
SWEEP_EVERY_TICKS = 10


@dataclass(frozen=True)
class Bounds:
    """How many connections there may be, and how long they may stand still."""

    connections_most: int = 1000
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 30.0

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        """Return the bounds of these settings, as far as the system has files for so many connections."""
        # Each log that is followed takes a connection to Redis as well.
        others = OTHER_FILES + settings.followers_most
        files = _allow_files(settings.connections_most + others)
        most = min(settings.connections_most, max(files - others, files // 2))
        return cls(most, settings.head_timeout_s, settings.idle_timeout_s)


@dataclass
class Progress:
    """What went through a connection since a moment."""

    since: float
    count: int = 0


@dataclass
class Ledger:
    """The connections of one server, by what they wait for; each kind has the oldest first."""

    bounds: Bounds
    open: "set[BoundedProtocol]" = field(default_factory=set)
    waiting: "dict[BoundedProtocol, float]" = field(default_factory=dict)
    """For the head of a request, since when."""
    sending: "dict[BoundedProtocol, Progress]" = field(default_factory=dict)
    """Bodies that are under way, with the bytes that came."""
    stalled: "dict[BoundedProtocol, Progress]" = field(default_factory=dict)
    """Answers that nobody reads, with the bytes that are left."""

    def arrived(self, protocol: "BoundedProtocol", now: float) -> None:
        """Take a connection in; where there are too many, the one that waits longest without a request goes."""
        if len(self.open) >= self.bounds.connections_most:
            idle = next(iter(self.waiting), None)
            if idle is None:
                protocol.refuse(503, "UNAVAILABLE", "Too many requests are under way. Try again in a few seconds.")
                return
            self.gone(idle)
            idle.transport.abort()
        self.open.add(protocol)
        self.waiting[protocol] = now

    def gone(self, protocol: "BoundedProtocol") -> None:
        """Forget a connection."""
        self.open.discard(protocol)
        for kind in (self.waiting, self.sending, self.stalled):
            kind.pop(protocol, None)

    def sweep(self, now: float) -> None:
        """Close the connections that have waited for too long."""
        for protocol, since in list(self.waiting.items()):
            if now - since < self.bounds.head_timeout_s:
                break
            protocol.give_up_waiting()
        for protocol, progress in list(self.sending.items()):
            self._look_at_body(protocol, progress, now)
        for protocol, progress in list(self.stalled.items()):
            left = protocol.transport.get_write_buffer_size()
            if left < progress.count:
                progress.since, progress.count = now, left
            elif now - progress.since >= self.bounds.idle_timeout_s:
                self.gone(protocol)
                protocol.transport.abort()

    def _look_at_body(self, protocol: "BoundedProtocol", progress: Progress, now: float) -> None:
        if protocol.flow.read_paused:
            # It is we who do not read.
            progress.since, progress.count = now, 0
        elif now - progress.since >= self.bounds.idle_timeout_s:
            if progress.count < self.bounds.idle_timeout_s * BODY_BYTES_PER_S:
                protocol.refuse(408, "TIMED_OUT", "The body came too slowly. Send it again.")
            progress.since, progress.count = now, 0


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection, entered in a ledger."""

    ledger: ClassVar[Ledger]
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.ledger.arrived(self, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        self.ledger.gone(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is not HTTP is refused without a line in the log, which anybody could fill."""
        self._unset_keepalive_if_required()
        if self in self.ledger.waiting:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.refuse(400, "INVALID_REQUEST", "This is not a request of HTTP/1.1.")
            return
        except httptools.HttpParserUpgrade:
            # Other protocols are not spoken here; the request is answered as it is.
            pass
        if self in self.ledger.waiting:
            if self._head_bytes > HEAD_BYTES_MOST:
                self.refuse(431, "TOO_LARGE", f"The headers are larger than {HEAD_BYTES_MOST:,} bytes.")
            return
        self._note_body(len(data))

    def on_headers_complete(self) -> None:
        self.ledger.waiting.pop(self, None)
        self._head_bytes = 0
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline and self in self.ledger.open:
            self.ledger.waiting[self] = self.loop.time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.ledger.stalled[self] = Progress(self.loop.time(), self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self.ledger.stalled.pop(self, None)
        super().resume_writing()

    def give_up_waiting(self) -> None:
        """End a connection whose request does not come."""
        if self._head_bytes:
            self.refuse(408, "TIMED_OUT", "The headers came too slowly. Send the request again.")
        else:
            self.ledger.gone(self)
            self.transport.close()

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer by itself, without the application, and close the connection."""
        self.ledger.gone(self)
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_answer(status, code, message))
        self.transport.close()

    def _note_body(self, count: int) -> None:
        cycle = self.cycle
        if cycle is None or not cycle.more_body or cycle.response_complete:
            self.ledger.sending.pop(self, None)
        elif progress := self.ledger.sending.get(self):
            progress.count += count
        elif self in self.ledger.open:
            self.ledger.sending[self] = Progress(self.loop.time(), count)


class BoundedServer(uvicorn.Server):
    """A server that sweeps its connections."""

    def __init__(self, app: Callable[..., Awaitable[None]], bounds: Bounds, **options: Any) -> None:
        self.ledger = Ledger(bounds)
        protocol = type("Protocol", (BoundedProtocol,), {"ledger": self.ledger})
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                log_level="warning",
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=3,
                **options,
            )
        )

    async def on_tick(self, counter: int) -> bool:
        if counter % SWEEP_EVERY_TICKS == 0:
            self.ledger.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def give_up_the_dead(listener: socket.socket, bounds: Bounds) -> None:
    """Have the system end connections whose other end is gone without a word, once something is sent to it."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(bounds.idle_timeout_s * 1000))


def _answer(status: int, code: str, message: str) -> bytes:
    body = json.dumps({"error": code, "message": message, "details": []}).encode()
    head = (
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    )
    return STATUS_LINE[status] + head.encode() + (b"Retry-After: 5\r\n" if status == 503 else b"") + b"\r\n" + body


def _allow_files(wanted: int) -> int:
    """Return how many files this process may open, raised to as many as are wanted where the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        return limit
    return wanted if soft == resource.RLIM_INFINITY else soft
