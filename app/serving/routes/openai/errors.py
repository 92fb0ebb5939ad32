"""Errors below `/v1`, in the shape that OpenAI's clients read."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from agents.base.errors import InvalidRequest, NotFound, Overloaded, TimedOut, TunelineError, Unavailable
from app.door.guard import Refusal
from app.http import faults_of, refuse_plainly
from app.openapi import BODY_FAULTS, CALLER_FAULTS, UNKNOWN_HOST, Responses, faults
from app.schemas import Fault
from app.serving.routes.openai.answers import OpenAIFault

PREFIX = "/v1"


def _of_the_door(said: Mapping[int, str]) -> Responses:
    return {status: {"model": OpenAIFault, "description": about} for status, about in said.items()}


#: What every route below /v1 can answer with.
COMMON: Responses = {
    **_of_the_door(CALLER_FAULTS),
    400: {"model": OpenAIFault, "description": "A request that is not valid."},
    421: {"model": OpenAIFault, "description": UNKNOWN_HOST},
    500: {"model": OpenAIFault | Fault, "description": "Something unexpected went wrong."},
}
ANSWERING = {
    **faults(NotFound, Overloaded, TimedOut, Unavailable, model=OpenAIFault),
    **_of_the_door(BODY_FAULTS),
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


def refuse(path: str, refusal: Refusal) -> Response:
    """Return the answer to a request that is not taken, in the shape that its route's errors have."""
    if not path.startswith(f"{PREFIX}/"):
        return refuse_plainly(path, refusal)
    status = 400 if refusal.status == InvalidRequest.status else refusal.status
    code = "invalid_api_key" if status == 401 else refusal.code.lower()
    return JSONResponse(fault_record(status, code, refusal.message), status, dict(refusal.headers))


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
