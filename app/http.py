"""What the API and serving share over HTTP: one error shape, the key check, and the server's start."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis import RedisError
from starlette.exceptions import HTTPException

from agents.base.errors import Overloaded, TunelineError, Unavailable
from app.settings import Settings

log = structlog.get_logger()
NO_KEY = "Send the key as `Authorization: Bearer <key>`."
#: Answered without a key, so that probes need none.
OPEN_PATHS = {"/health", "/api/v1/health"}


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error as `{"error", "message", "details"}`."""
    app.add_exception_handler(TunelineError, _own_error)
    app.add_exception_handler(RedisError, _redis_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unforeseen)


def no_key(_: Request) -> Response:
    """Return the answer to a request without the key."""
    return fault_response(401, "NOT_AUTHENTICATED", NO_KEY)


def install_key_check(app: FastAPI, settings: Settings, refuse: Callable[[Request], Response] = no_key) -> None:
    """Ask for `Authorization: Bearer <key>` where a key is set; `refuse` answers requests without it."""
    if settings.api_key is None:
        return
    wanted = f"Bearer {settings.api_key.get_secret_value()}".encode()

    @app.middleware("http")
    async def check_key(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        given = request.headers.get("authorization", "").encode()
        if request.url.path in OPEN_PATHS or hmac.compare_digest(given, wanted):
            return await go_on(request)
        return refuse(request)


def fault_response(
    status: int,
    code: str,
    message: str,
    details: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return an error answer."""
    return JSONResponse({"error": code, "message": message, "details": details or []}, status, headers)


async def _own_error(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, TunelineError)
    headers = {}
    if isinstance(fault, Unavailable | Overloaded):
        headers["Retry-After"] = str(fault.retry_after_s)
    return fault_response(fault.status, fault.code(), str(fault), fault.details, headers)


async def _redis_error(_: Request, fault: Exception) -> Response:
    message = f"Redis doesn't answer ({type(fault).__name__}). Start it, or check TUNELINE_REDIS_URL."
    return fault_response(503, "UNAVAILABLE", message, headers={"Retry-After": str(Unavailable.retry_after_s)})


async def _invalid_request(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, RequestValidationError)
    details = [{"path": ".".join(map(str, found["loc"])), "message": _said(found)} for found in fault.errors()]
    listed = "; ".join(f"{detail['path']}: {detail['message']}" for detail in details)
    return fault_response(422, "INVALID_REQUEST", f"The request can't be taken: {listed}.", details)


def _said(found: Mapping[str, Any]) -> str:
    """Return what is wrong with a field; of a text that has to have a character pydantic would name the pattern."""
    blank = found["type"] == "string_pattern_mismatch" and found["ctx"]["pattern"] == r"\S"
    return "should have a character that is not white space" if blank else str(found["msg"])


async def _http_error(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    message = fault.detail if fault.status_code != 404 else f"There is nothing at {request.method} {request.url.path}."
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE"}.get(fault.status_code, "HTTP_ERROR")
    return fault_response(fault.status_code, code, message, headers=dict(fault.headers or {}))


async def _unforeseen(request: Request, fault: Exception) -> Response:
    log.error("request_failed", path=request.url.path, exc_info=fault)
    return fault_response(500, "INTERNAL", "Something unforeseen went wrong; the server's own log has the trace.")
