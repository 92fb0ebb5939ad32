"""Errors below `/v1`, in the shape that OpenAI's clients read."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from agents.base.errors import InvalidRequest, NotFound, Overloaded, TimedOut, TunelineError, Unavailable
from app.http import NO_KEY, faults_of, no_key
from app.openapi import Responses, faults
from app.schemas import Fault
from app.serving.routes.openai.answers import OpenAIFault

PREFIX = "/v1"
#: What every route below /v1 can answer with.
COMMON: Responses = {
    401: {"model": OpenAIFault, "description": NO_KEY},
    500: {"model": OpenAIFault | Fault, "description": "Something unexpected went wrong."},
}
ANSWERING = {
    **faults(NotFound, Overloaded, TimedOut, Unavailable, model=OpenAIFault),
    400: {"model": OpenAIFault, "description": "A request that is not valid."},
    422: {"model": Fault, "description": "A body that can't be read."},
}
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class OpenAIRoute(APIRoute):
    """A route that answers errors in OpenAI's shape."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (TunelineError, RequestValidationError) as fault:
                return fault_answer(fault)

        return answer


def refuse_without_key(request: Request) -> Response:
    """Return the answer to a request without the key, in the shape that its route's errors have."""
    if request.url.path.startswith(f"{PREFIX}/"):
        return JSONResponse(fault_record(401, "invalid_api_key", NO_KEY), 401)
    return no_key(request)


def fault_answer(fault: TunelineError | RequestValidationError) -> Response:
    """Return an error in OpenAI's shape."""
    if isinstance(fault, RequestValidationError):
        faults = faults_of(fault)
        fields = [one["path"].removeprefix("body").removeprefix(".") for one in faults]
        listed = "; ".join(
            f"{field or 'the body'}: {one['message']}" for field, one in zip(fields, faults, strict=True)
        )
        where = fields[0] or None
        return JSONResponse(fault_record(400, "invalid_request", listed, where), 400)
    status = 400 if isinstance(fault, InvalidRequest) else fault.status
    headers = {"Retry-After": str(fault.retry_after_s)} if isinstance(fault, Unavailable | Overloaded) else {}
    code = "model_not_found" if isinstance(fault, NotFound) else fault.code().lower()
    return JSONResponse(fault_record(status, code, str(fault)), status, headers)


def fault_record(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
