"""The routes below /v1 that OpenAI's clients know: models, completions, chat completions, whole or as a stream."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from agents.base.errors import InvalidRequest, NotFound, Overloaded, TimedOut, TunelineError, Unavailable
from agents.models.generators.base import Completion, Generator
from app.http import NO_KEY, faults_of, no_key
from app.openapi import Responses, events, faults
from app.schemas import Fault
from app.serving.answers import Answers, conversation, while_awaited
from app.serving.openai_answers import ChatCompletion, OpenAIFault, OpenAIModel, OpenAIModels, TextCompletion
from app.serving.openai_events import ChatCompletionChunk, CompletionChunk
from app.serving.openai_schemas import AnswerBody, ChatBody, CompletionBody
from app.serving.reconcile import Served
from app.serving.writer import MakePrompt

PREFIX = "/v1"
#: What every route below /v1 can answer with.
COMMON: Responses = {
    401: {"model": OpenAIFault, "description": NO_KEY},
    500: {"model": OpenAIFault | Fault, "description": "Something unforeseen went wrong."},
}
ANSWERING = {
    **faults(NotFound, Overloaded, TimedOut, Unavailable, model=OpenAIFault),
    400: {"model": OpenAIFault, "description": "A request that can't be taken as it is."},
    422: {"model": Fault, "description": "A body that can't be read at all."},
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


def add_openai_routes(app: FastAPI, answers: Answers) -> None:
    """Add the routes for all decoders that are served."""
    router = APIRouter(prefix=PREFIX, route_class=OpenAIRoute, tags=["openai"], responses=COMMON)

    @router.get("/models", summary="List the decoders", response_model=OpenAIModels)
    def list_openai_models() -> dict[str, Any]:
        """List the decoders."""
        return {"object": "list", "data": [_model(served) for served in answers.served()]}

    @router.get(
        "/models/{model}",
        summary="Show a decoder",
        response_model=OpenAIModel,
        responses={400: ANSWERING[400], **faults(NotFound, model=OpenAIFault)},
    )
    def get_openai_model(
        model: Annotated[str, Path(description="The model's name.", examples=["task"])],
    ) -> dict[str, Any]:
        """Return one decoder."""
        return _model(answers.decoder(model))

    @router.post(
        "/chat/completions",
        summary="Answer a conversation",
        response_model=ChatCompletion,
        responses={**ANSWERING, 200: _streamed(ChatCompletionChunk)},
    )
    async def create_chat_completion(body: ChatBody, request: Request) -> Response:
        """Answer a conversation, by the template that the model learned."""
        messages = [message.plain() for message in body.messages]
        return await _answer(answers, request, body, conversation(messages), _Chat, messages[-1]["content"])

    @router.post(
        "/completions",
        summary="Go on from a prompt",
        response_model=TextCompletion,
        responses={**ANSWERING, 200: _streamed(CompletionChunk)},
    )
    async def create_completion(body: CompletionBody, request: Request) -> Response:
        """Go on from a prompt as it is, without a template."""
        text = body.prompt if isinstance(body.prompt, str) else json.dumps(body.prompt)
        return await _answer(answers, request, body, _as_it_is(body.prompt), _Completion, text)

    app.include_router(router)


def _streamed(chunk: type[BaseModel]) -> dict[str, Any]:
    return events("The answer, or with `stream` its pieces.", ("", chunk), ("", OpenAIFault), last="[DONE]")


class _Completion:
    """The form of `/v1/completions`."""

    object = stream_object = "text_completion"
    prefix = "cmpl"

    @staticmethod
    def choice(text: str, finish_reason: str) -> dict[str, Any]:
        return {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}

    @staticmethod
    def piece(text: str | None, finish_reason: str | None, *, first: bool) -> dict[str, Any]:  # noqa: ARG004
        return {"index": 0, "text": text or "", "finish_reason": finish_reason, "logprobs": None}


class _Chat:
    """The form of `/v1/chat/completions`."""

    object, stream_object = "chat.completion", "chat.completion.chunk"
    prefix = "chatcmpl"

    @staticmethod
    def choice(text: str, finish_reason: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}

    @staticmethod
    def piece(text: str | None, finish_reason: str | None, *, first: bool) -> dict[str, Any]:
        delta = ({"role": "assistant"} if first else {}) | ({"content": text} if text is not None else {})
        return {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}


Form = type[_Completion] | type[_Chat]


async def _answer(
    answers: Answers, request: Request, body: AnswerBody, prompt: MakePrompt, form: Form, text: str
) -> Response:
    served = answers.decoder(body.model)
    wish = body.wish(served.generator.max_new_tokens)
    facts = {"id": f"{form.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": served.name}
    facts["system_fingerprint"] = f"v{served.version}-{served.format}"
    if not body.stream:
        found = await while_awaited(request, answers.whole(served, text, prompt, wish))
        choices = [form.choice(found.text, found.finish_reason)]
        return JSONResponse({**facts, "object": form.object, "choices": choices, "usage": _usage(found)})
    answers.check_room(served)
    news = answers.write(served, text, prompt, wish)
    # What is wrong with the request shows with the first piece, while a status can still say so.
    first = await while_awaited(request, anext(news))
    usage = bool(body.stream_options and body.stream_options.include_usage)
    stream = _stream(first, news, {**facts, "object": form.stream_object}, form, usage)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _stream(
    first: str | Completion, news: Any, facts: dict[str, Any], form: Form, with_usage: bool
) -> AsyncIterator[str]:
    """Give the answer as server-sent events; what goes wrong on the way is the last of them."""
    is_first = True
    piece: str | Completion | None = first
    async with aclosing(news):
        try:
            while piece is not None:
                if isinstance(piece, Completion):
                    yield _event({**facts, "choices": [form.piece(None, piece.finish_reason, first=is_first)]})
                    if with_usage:
                        yield _event({**facts, "choices": [], "usage": _usage(piece)})
                else:
                    yield _event({**facts, "choices": [form.piece(piece, None, first=is_first)]})
                is_first, piece = False, await anext(news, None)
            yield "data: [DONE]\n\n"
        except TunelineError as fault:
            yield _event(_fault_record(fault.status, fault.code(), str(fault)))


def _event(record: dict[str, Any]) -> str:
    return f"data: {json.dumps(record)}\n\n"


def _as_it_is(prompt: str | list[int]) -> MakePrompt:
    def make(generator: Generator) -> list[int]:
        tokenizer = generator.renderer.tokenizer
        if isinstance(prompt, str):
            ids: list[int] = tokenizer(prompt)["input_ids"]
            if not ids:
                raise InvalidRequest("The prompt is empty.")
            return ids
        if max(prompt) >= len(tokenizer):
            raise InvalidRequest(f"The prompt has the token {max(prompt)}; the model knows {len(tokenizer)}.")
        return prompt

    return make


def _model(served: Served) -> dict[str, Any]:
    created = int(served.loaded_at.timestamp())
    return {"id": served.name, "object": "model", "created": created, "owned_by": "tuneline"}


def _usage(found: Completion) -> dict[str, int]:
    asked, written = found.prompt_tokens, found.completion_tokens
    return {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": asked + written}


def refuse_without_key(request: Request) -> Response:
    """Return the answer to a request without the key, in the shape that its route's errors have."""
    if request.url.path.startswith(f"{PREFIX}/"):
        return JSONResponse(_fault_record(401, "invalid_api_key", NO_KEY), 401)
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
        return JSONResponse(_fault_record(400, "invalid_request", listed, where), 400)
    status = 400 if isinstance(fault, InvalidRequest) else fault.status
    headers = {"Retry-After": str(fault.retry_after_s)} if isinstance(fault, Unavailable | Overloaded) else {}
    code = "model_not_found" if isinstance(fault, NotFound) else fault.code().lower()
    return JSONResponse(_fault_record(status, code, str(fault)), status, headers)


def _fault_record(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
