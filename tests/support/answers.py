"""An HTTP server that answers as it is told: for what stands between Tuneline and a store, and for faults of stores."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An answer of HTTP; `server`: who says so."""

    status: int = 200
    body: str = ""
    content_type: str = "application/xml"
    server: str = "AmazonS3"
    headers: Mapping[str, str] = field(default_factory=dict)


def s3_fault(code: str, status: int, more: str = "", **fields: Any) -> Answer:
    """Return an answer of S3 to a request that it refuses."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Told by the test.</Message>{more}</Error>'
    return Answer(status, body, **fields)


def _handler(
    answer: Callable[[str, str], Answer], connections: set[socket.socket]
) -> type[http.server.BaseHTTPRequestHandler]:
    """Return what answers requests by `answer`, and notes its connections."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            connections.add(self.connection)

        def _answer(self) -> None:
            # What was sent is read, or the next request on this connection would begin in the midst of it.
            self.rfile.read(int(self.headers.get("content-length") or 0))
            said = answer(self.command, self.path)
            body = said.body.encode()
            self.send_response_only(said.status)
            headers = {
                "Server": said.server,
                "Date": self.date_time_string(),
                "Content-Type": said.content_type,
                "Content-Length": str(len(body)),
                **said.headers,
            }
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler


@contextmanager
def answering(
    answer: Callable[[str, str], Answer], wrap: Callable[[Any], Any] | None = None, port: int = 0
) -> Iterator[str]:
    """Answer every request by `answer(method, path)`; yield the address. `wrap` may put TLS around the socket."""

    connections: set[socket.socket] = set()
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), _handler(answer, connections)) as server:
        server.daemon_threads = True
        if wrap is not None:
            server.socket = wrap(server.socket)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http{'s' if wrap else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            # Or whoever holds one would be answered by this server for ever.
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
