"""HTTP to the object store: tries with a bound in time, no redirects, and no answers of anything but a store."""

import time
from collections.abc import Mapping
from typing import Any, Self

import urllib3
from urllib3.exceptions import ConnectTimeoutError, ReadTimeoutError

CONNECT_TIMEOUT_S = 3.0
#: Longest pause between two tries to reach a server that is away, in seconds.
PAUSE_MOST_S = 5.0
#: A store may need so long to put the parts of a large upload together.
WRITE_TIMEOUT_S = 30.0
#: Answers of a server that may do better at the next try.
PASSING = (429, 502, 503, 504)
#: As much as is read of an answer that is not the store's.
BODY_MOST_BYTES = 64 << 10


class StoreAnswer(Exception):
    """An answer that is not S3's XML: a proxy's page, a redirect, or XML of another media type."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body


class StoreHttp(urllib3.PoolManager):
    """Connections to an object store.

    One that is away is tried again for `patience_s`, one that is silent is given up after `timeout_s`. What a server
    says of when to come back (`Retry-After`) makes nobody wait longer.
    """

    def __init__(self, *, timeout_s: float, patience_s: float) -> None:
        connect_s = min(CONNECT_TIMEOUT_S, timeout_s)
        super().__init__(timeout=urllib3.Timeout(connect=connect_s, read=timeout_s), maxsize=16)
        self._patience_s = patience_s
        self._writing = urllib3.Timeout(connect=connect_s, read=max(timeout_s, WRITE_TIMEOUT_S))

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: Any) -> Any:  # type: ignore[override]
        """Send a request and return the store's answer.

        Raises:
            StoreAnswer: something else answered, or the store in a way that its client doesn't read.
            HTTPError: nothing answered in time.
        """
        kw["retries"] = _Tries.until(time.monotonic() + self._patience_s)
        if method in {"PUT", "POST"}:
            kw.setdefault("timeout", self._writing)
        response = super().urlopen(method, url, redirect=False, **kw)
        if _is_stores_own(method, response):
            return response
        body = response.data if kw.get("preload_content", True) else response.read(BODY_MOST_BYTES)
        response.close()
        raise StoreAnswer(response.status, response.headers, body[:BODY_MOST_BYTES].decode(errors="replace"))


def _is_stores_own(method: str, response: Any) -> bool:
    kind = response.headers.get("content-type", "").lower()
    if response.status < 300:
        # Of an object that is a page itself, a store tells the ETag.
        return not kind.startswith("text/html") or "etag" in response.headers
    if method == "HEAD":
        return not kind.startswith("text/html")
    return "application/xml" in kind.split(";") or response.status == 304


class _Tries(urllib3.Retry):
    """Tries until a moment, with pauses of 0.2, 0.4, 0.8 ... at most 5 s."""

    deadline = 0.0

    @classmethod
    def until(cls, deadline: float) -> Self:
        made = cls(
            total=10_000,
            backoff_factor=0.2,
            backoff_max=PAUSE_MOST_S,
            status_forcelist=PASSING,
            allowed_methods=None,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        made.deadline = deadline
        return made

    def new(self, **kw: Any) -> Self:
        made = super().new(**kw)
        made.deadline = self.deadline
        return made

    def is_exhausted(self) -> bool:
        """Say whether this was the last try, once its outcome stands in `history`."""
        if time.monotonic() < self.deadline:
            return False
        # A connection that the server has closed meanwhile is worth one more try, however late it is.
        return len(self.history) > 1 or isinstance(self.history[-1].error, ReadTimeoutError | ConnectTimeoutError)
