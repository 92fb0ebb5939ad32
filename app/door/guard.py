"""The guard: looks at the head of each request before the application sees any of it.

It is plain ASGI and reads the headers once, since it stands before every prediction.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.door.bodies import BodyRules, Metered, length_of
from app.door.hosts import Hosts, is_same_origin
from app.door.session import is_session, session_of
from app.door.wrong_keys import WrongKeys

#: Who asks, in a request's scope: "key", "session", or None for somebody without either.
CALLER = "tuneline.caller"
HARMLESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({b"same-origin", b"none"})
#: Names and ids are far shorter; routes say what is wrong with those that come this far.
PATH_BYTES_MOST, QUERY_BYTES_MOST = 8192, 4096
#: What every answer has, unless its route says otherwise.
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
NO_KEY = (
    "The key is missing or wrong. Send it as `Authorization: Bearer <key>`: TUNELINE_API_KEY, or on the service's own "
    "machine what `tuneline token` prints."
)


class Refusal(NamedTuple):
    """Why a request is not taken."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = {}


#: Makes the answer to a request for a path.
Refuse = Callable[[str, Refusal], Response]
Headers = Mapping[bytes, bytes]


@dataclass(frozen=True)
class Rules:
    """What a service asks of requests."""

    key: str
    hosts: Hosts
    bodies: BodyRules
    origins: frozenset[str] = frozenset()
    open_paths: frozenset[str] = frozenset()
    """Answered without a key."""
    wrong_keys: WrongKeys = field(default_factory=WrongKeys)


class Guard:
    """Lets requests through to an application, or refuses them."""

    def __init__(self, app: ASGIApp, rules: Rules, refuse: Refuse) -> None:
        self._app, self._rules, self._refuse = app, rules, refuse
        self._bearer = f"Bearer {rules.key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        relay = _with_headers(send)
        headers: Headers = dict(scope["headers"])
        refusal = self._fault(scope, headers)
        if refusal is not None:
            return await self._answer(scope["path"], refusal, headers)(scope, receive, relay)
        if b"transfer-encoding" in headers:
            limited = self._refuse(scope["path"], self._too_large(scope["path"]))
            metered = Metered(scope, receive, relay, self._rules.bodies.of(scope["path"]).bytes_most, limited)
            return await self._app(scope, metered.receive, metered.send)
        return await self._app(scope, receive, relay)

    def _answer(self, path: str, refusal: Refusal, headers: Headers) -> Response:
        answer = self._refuse(path, refusal)
        if length_of(headers) != 0:
            # What is left of the body is not read.
            answer.headers["Connection"] = "close"
        return answer

    def _fault(self, scope: MutableMapping[str, Any], headers: Headers) -> Refusal | None:
        return (
            self._host_fault(scope, headers)
            or _address_fault(scope)
            or self._caller_fault(scope, headers)
            or self._origin_fault(scope, headers)
            or self._body_fault(scope, headers)
        )

    def _host_fault(self, scope: MutableMapping[str, Any], headers: Headers) -> Refusal | None:
        host = headers.get(b"host")
        if host is None and scope.get("http_version") == "1.0":
            # Probes ask so, and no browser.
            return None
        several = len(headers) != len(scope["headers"]) and sum(name == b"host" for name, _ in scope["headers"]) > 1
        if host is not None and not several and self._rules.hosts.allow(host):
            return None
        return Refusal(
            421,
            "UNKNOWN_HOST",
            f"This service is not known as '{_shown(host)}'. Ask it by its address or by localhost, or add the name to "
            "TUNELINE_ALLOWED_HOSTS.",
        )

    def _caller_fault(self, scope: MutableMapping[str, Any], headers: Headers) -> Refusal | None:
        scope[CALLER] = caller = self._caller(headers)
        if caller is not None or scope["path"] in self._rules.open_paths:
            return None
        if _is_preflight(scope, headers) and _text(headers[b"origin"]) in self._rules.origins:
            return None
        wait_s = 0
        if b"authorization" in headers:
            peer = scope.get("client") or ("unknown", 0)
            wait_s = self._rules.wrong_keys.note(str(peer[0]))
        if wait_s:
            message = f"Too many wrong keys came from this address. {NO_KEY}"
            return Refusal(429, "OVERLOADED", message, {"Retry-After": str(wait_s)})
        return Refusal(401, "NOT_AUTHENTICATED", NO_KEY, {"WWW-Authenticate": "Bearer"})

    def _caller(self, headers: Headers) -> str | None:
        given = headers.get(b"authorization")
        if given is not None:
            if given[:7].lower() == b"bearer ":
                given = b"Bearer " + given[7:].strip()
            return "key" if hmac.compare_digest(given, self._bearer) else None
        cookies = headers.get(b"cookie")
        session = session_of(_text(cookies)) if cookies else None
        return "session" if session and is_session(self._rules.key, session) else None

    def _origin_fault(self, scope: MutableMapping[str, Any], headers: Headers) -> Refusal | None:
        """A page of another site may not change anything, nor use the session of a browser."""
        if scope["method"] in HARMLESS_METHODS and scope[CALLER] != "session":
            return None
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if origin is not None:
            place = _text(origin)
            if place in self._rules.origins or is_same_origin(place, _text(headers.get(b"host", b""))):
                return None
        elif site is None or site in OWN_SITES:
            return None
        return Refusal(
            403,
            "NOT_ALLOWED",
            f"The page at '{_shown(origin)}' is not one of this service's, and may not ask it. Add its origin to "
            "TUNELINE_ALLOWED_ORIGINS.",
        )

    def _body_fault(self, scope: MutableMapping[str, Any], headers: Headers) -> Refusal | None:
        length = length_of(headers)
        if length == 0 or scope["method"] in HARMLESS_METHODS:
            return None
        rule = self._rules.bodies.of(scope["path"])
        kind = headers.get(b"content-type", b"")
        if not rule.takes(_text(kind)):
            said = f"of the type '{_shown(kind)}'" if kind else "without a Content-Type"
            message = f"The body comes {said}. Send it as Content-Type: {rule.wanted}."
            return Refusal(415, "UNSUPPORTED_MEDIA_TYPE", message)
        return self._too_large(scope["path"]) if length is not None and length > rule.bytes_most else None

    def _too_large(self, path: str) -> Refusal:
        rule = self._rules.bodies.of(path)
        message = f"The body is larger than {rule.bytes_most:,} bytes. Send less at once, or raise {rule.setting}."
        return Refusal(413, "TOO_LARGE", message, {"Connection": "close"})


def _address_fault(scope: MutableMapping[str, Any]) -> Refusal | None:
    """Addresses are short, and their queries have no NUL, which neither file systems nor databases take."""
    query = scope["query_string"]
    if len(scope.get("raw_path") or b"") > PATH_BYTES_MOST:
        message = f"There is nothing at so long an address: paths have at most {PATH_BYTES_MOST:,} bytes."
        return Refusal(404, "NOT_FOUND", message)
    if len(query) > QUERY_BYTES_MOST or b"%00" in query or b"\0" in query:
        message = f"The query is not valid: queries have at most {QUERY_BYTES_MOST:,} bytes, and no NUL."
        return Refusal(422, "INVALID_REQUEST", message)
    return None


def _is_preflight(scope: MutableMapping[str, Any], headers: Headers) -> bool:
    return scope["method"] == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers


def _with_headers(send: Send) -> Send:
    def relay(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            given = message.get("headers", ())
            names = {name for name, _ in given}
            message["headers"] = [*given, *(pair for pair in HEADERS if pair[0] not in names)]
        return send(message)

    return relay


def _text(header: bytes) -> str:
    return header.decode("latin-1")


def _shown(header: bytes | None) -> str:
    """Return a header as part of a sentence, without what a terminal or a page would take for more."""
    text = _text(header or b"").encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:100]
