"""What the API and serving share over HTTP: one error shape, the door, and the server's start."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from redis import RedisError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from agents.base.errors import Conflict, Overloaded, TunelineError, Unavailable
from agents.base.strict_json import clean
from app.door.bodies import JSON, MIB, BodyRule, BodyRules
from app.door.connections import BACKLOG, BoundedServer, Bounds, give_up_the_dead
from app.door.guard import Guard, Refusal, Refuse, Rules
from app.door.hosts import Hosts
from app.door.pages import PAGE_PATHS, add_pages, add_session_routes
from app.keys import door_key
from app.methods import allowed_methods
from app.openapi import install_openapi, operation_id
from app.schemas import NOT_BLANK
from app.settings import Settings
from app.state_folder import make_private
from app.wiring import STORE_REQUEST_TIMEOUT_S, Parts, build_parts, require_key_beyond_loopback
from pipelines.engine.state.redis_faults import redis_error

log = structlog.get_logger()
#: Answered without a key: probes need none, and pages ask for one.
OPEN_PATHS = PAGE_PATHS | {"/health", "/api/v1/health"}
PREFIX = "/api/v1"
#: What health says without the key of something that is wrong: neither addresses nor reasons.
NOT_TOLD = "unavailable; ask with the key for the reason"
#: nginx's status for an answer that nobody waits for.
CLIENT_GONE_STATUS = 499
#: What pages of allowed origins may send.
METHODS = ("GET", "POST", "PUT", "DELETE")
#: Where a page begins. Stores count in 64 bits and fail beyond.
Offset = Annotated[int, Query(ge=0, le=1 << 53, description="How many to skip before the page begins.")]
#: A model in a path.
ModelName = Annotated[str, Path(description="The model's name.", examples=["spam"])]
#: A body that is neither a form nor JSON is the caller's fault, as a wrong field in it is.
HTTP_FAULTS = {400: (422, "INVALID_REQUEST"), 404: (404, "NOT_FOUND"), 405: (405, "METHOD_NOT_ALLOWED")}


class PrometheusText(Response):
    """An answer for Prometheus."""

    media_type = "text/plain"


def refuse_plainly(_: str, refusal: Refusal) -> Response:
    """Return the answer to a request that is not taken."""
    return fault_response(refusal.status, refusal.code, refusal.message, headers=dict(refusal.headers))


class Service(FastAPI):
    """An application behind its door: nothing of it sees a request that the door refuses."""

    rules: Rules
    refuse: Refuse

    def build_middleware_stack(self) -> ASGIApp:
        """Return the application with the door before all else."""
        app = super().build_middleware_stack()
        if self.rules.origins:
            app = CORSMiddleware(app, sorted(self.rules.origins), METHODS, allow_headers=["*"], expose_headers=["*"])
        return Guard(app, self.rules, self.refuse)


@dataclass(frozen=True)
class About:
    """What a service says of itself."""

    title: str
    description: str
    tags: list[dict[str, Any]]
    sessions: Mapping[str, str]
    """The functions of a browser's session -> the ids of their operations."""
    common: Sequence[type[TunelineError]] = (Unavailable,)
    more: Sequence[type[BaseModel]] = ()


def create_service(
    settings: Settings,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    about: About,
    listens_on: str,
    bodies: Mapping[str, BodyRule] | None = None,
    refuse: Refuse = refuse_plainly,
) -> Service:
    """Return a service without routes of its own: its errors, its document, its pages and its door are there.

    `bodies`: what routes take that take more than JSON; `refuse` answers requests that are not taken.

    Raises:
        InvalidRequest, NotAllowed: as `door_key`.
    """
    app = Service(
        title=about.title,
        description=about.description,
        version=installed_version("tuneline"),
        lifespan=lifespan,
        openapi_tags=about.tags,
        generate_unique_id_function=operation_id,
        docs_url=None,
        redoc_url=None,
    )
    app.rules = door_rules(settings, listens_on, bodies or {})
    app.refuse = refuse
    install_error_handlers(app)
    install_openapi(app, common=about.common, more=about.more)
    add_pages(app)
    add_session_routes(app, app.rules.key, about.tags[-1]["name"], about.sessions)
    return app


def door_rules(settings: Settings, listens_on: str, bodies: Mapping[str, BodyRule]) -> Rules:
    """Return what a service that listens there asks of requests. Raises: as `door_key`."""
    usual = BodyRule(JSON, settings.json_limit_mb * MIB, "TUNELINE_JSON_LIMIT_MB")
    return Rules(
        door_key(settings),
        Hosts.of(listens_on, settings.allowed_hosts),
        BodyRules(usual, bodies, PREFIX),
        frozenset(origin.lower().rstrip("/") for origin in settings.allowed_origins),
        OPEN_PATHS,
    )


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error as `{"error", "message", "details"}`."""
    app.add_exception_handler(TunelineError, _own_error)
    app.add_exception_handler(RedisError, _redis_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, client_gone)
    app.add_exception_handler(Exception, _unexpected)


async def client_gone(_: Request, __: Exception) -> Response:
    """Return an answer that nobody reads."""
    return Response(status_code=CLIENT_GONE_STATUS)


def run_service(
    create: Callable[[Parts], FastAPI],
    settings: Settings,
    host: str,
    port: int,
    settings_prefix: str,
    socket_number: int | None = None,
) -> None:
    """Serve an application over the parts of these settings until SIGTERM or SIGINT.

    `socket_number`: a socket that listens there already, inherited from `tuneline up`.

    Raises:
        NotAllowed: it would listen beyond loopback without a key, or with one that can be guessed.
        Unavailable: Redis or the object store doesn't answer.
        Conflict: its address can't be listened on; the message names the settings with this prefix.
    """
    require_key_beyond_loopback(host, settings)
    make_private(settings.state_dir)
    parts = build_parts(settings, store_timeout_s=STORE_REQUEST_TIMEOUT_S)
    parts.check()
    app = create(parts)
    listener = socket.socket(fileno=socket_number) if socket_number else listen(host, port, settings_prefix)
    serve_http(app, listener, Bounds.of(settings))


def listen(host: str, port: int, settings_prefix: str) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        Conflict: it can't; the message names the settings with this prefix.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as fault:
        # Python adds the address to the system's own words; a name that is not found has a negative number.
        number = getattr(fault, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else getattr(fault, "strerror", None) or "there is no such port"
        raise Conflict(
            f"Nothing can listen on {host}, port {port}: {reason}.",
            cure=f"Stop what uses it, or set {settings_prefix}_PORT and {settings_prefix}_HOST.",
        ) from fault


def serve_http(app: FastAPI, listener: socket.socket, bounds: Bounds) -> None:
    """Serve an application on a socket that listens until SIGTERM or SIGINT."""
    give_up_the_dead(listener, bounds)
    server = BoundedServer(app, bounds)
    # After a normal end it raises the signal again.
    with listener, suppress(KeyboardInterrupt):
        server.run([listener])
    if not server.started:
        raise SystemExit(1)


def fault_response(
    status: int,
    code: str,
    message: str,
    details: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return an error answer."""
    # A message may show back what JSON can't hold.
    body = clean({"error": code, "message": message, "details": details or []}).value
    return JSONResponse(body, status, headers)


async def _own_error(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, TunelineError)
    headers = {}
    if isinstance(fault, Unavailable | Overloaded):
        headers["Retry-After"] = str(fault.retry_after_s)
    return fault_response(fault.status, fault.code(), str(fault), fault.details, headers)


async def _redis_error(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, RedisError)
    return await _own_error(request, redis_error(fault))


async def _invalid_request(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, RequestValidationError)
    details = faults_of(fault)
    listed = "; ".join(f"{detail['path']}: {detail['message']}" for detail in details)
    return fault_response(422, "INVALID_REQUEST", f"The request is not valid: {listed}.", details)


def faults_of(fault: RequestValidationError) -> list[dict[str, Any]]:
    """Return what is wrong with a request, each with its path: `query.limit`, `body.texts.3`."""
    return [{"path": _path(found), "message": _said(found)} for found in fault.errors()]


def _path(found: Mapping[str, Any]) -> str:
    # A body that can't be parsed has a place in its text, which looks like an index.
    return "body" if found["type"] == "json_invalid" else ".".join(map(str, found["loc"]))


def _said(found: Mapping[str, Any]) -> str:
    """Return what is wrong with a field; of a text that has to have a character pydantic would name the pattern."""
    if found["type"] == "json_invalid":
        return f"Not JSON, from character {found['loc'][-1]} on: {found['ctx']['error']}"
    if found["loc"] == ("body",) and found["type"] == "model_attributes_type":
        return "Should be a JSON object, sent as Content-Type: application/json"
    blank = found["type"] == "string_pattern_mismatch" and found["ctx"]["pattern"] == NOT_BLANK
    return "should have a character that is not white space" if blank else str(found["msg"])


async def _http_error(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    messages = {
        404: f"There is nothing at {request.method} {request.url.path}.",
        405: f"{request.url.path} does not take {request.method}. See /docs.",
    }
    message = messages.get(fault.status_code, fault.detail)
    status, code = HTTP_FAULTS.get(fault.status_code, (fault.status_code, "INTERNAL"))
    headers = dict(fault.headers or {})
    if fault.status_code == 405 and (allowed := allowed_methods(request.app, request.url.path)):
        headers["Allow"] = ", ".join(allowed)
    return fault_response(status, code, message, headers=headers)


async def _unexpected(request: Request, fault: Exception) -> Response:
    log.error("request_failed", path=request.url.path, exc_info=fault)
    return fault_response(500, "INTERNAL", "Something unexpected went wrong; the server's log has the traceback.")
