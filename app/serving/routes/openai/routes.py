"""The routes below /v1 that OpenAI's clients know: models, completions, chat completions, whole or as a stream."""

import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from agents.base.errors import InvalidRequest, NotFound, TunelineError
from agents.chat.answers import tool_functions
from agents.chat.call_grammar import call_grammar
from agents.models.generators.base import Completion, Generator, SamplingParams
from app.openapi import events, faults
from app.serving.routes.awaited import while_awaited
from app.serving.routes.openai.answers import ChatCompletion, OpenAIFault, OpenAIModel, OpenAIModels, TextCompletion
from app.serving.routes.openai.bodies import AnswerBody, ChatBody, CompletionBody
from app.serving.routes.openai.errors import ANSWERING, COMMON, PREFIX, OpenAIRoute, fault_record
from app.serving.routes.openai.events import ChatCompletionChunk, CompletionChunk
from app.serving.routes.openai.forms import ChatForm, CompletionForm, Form
from app.serving.runtime.answers import Answers, conversation
from app.serving.runtime.writer import MakePrompt
from app.serving.versions.served import Served


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
        responses=faults(NotFound, model=OpenAIFault),
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
        asked = body.conversation()
        generator = answers.decoder(body.model).generator
        form = ChatForm(generator.renderer.form, asked.tools, 1 if body.parallel_tool_calls is False else None)
        forced = body.forced_names
        sampling = body.sampling(generator.max_new_tokens)
        if forced:
            functions = {name: one for name, one in tool_functions(asked.tools).items() if name in forced}
            sampling = replace(sampling, grammar=call_grammar(generator.renderer, functions))
        held = sampling.json_schema is not None or bool(forced and generator.renderer.form.lead_before_calls)
        prompt = conversation(asked, with_lead=held)
        return await _answer(answers, request, body, prompt, form, asked.messages[-1]["content"], sampling)

    @router.post(
        "/completions",
        summary="Continue a prompt",
        response_model=TextCompletion,
        responses={**ANSWERING, 200: _streamed(CompletionChunk)},
    )
    async def create_completion(body: CompletionBody, request: Request) -> Response:
        """Continue a prompt as it is, without a template."""
        text = body.prompt if isinstance(body.prompt, str) else json.dumps(body.prompt)
        return await _answer(answers, request, body, _as_it_is(body.prompt), CompletionForm(), text)

    app.include_router(router)


def _streamed(chunk: type[BaseModel]) -> dict[str, Any]:
    return events("The answer, or with `stream` its pieces.", ("", chunk), ("", OpenAIFault), last="[DONE]")


async def _answer(
    answers: Answers,
    request: Request,
    body: AnswerBody,
    prompt: MakePrompt,
    form: Form,
    text: str,
    sampling: SamplingParams | None = None,
) -> Response:
    served = answers.decoder(body.model)
    sampling = sampling or body.sampling(served.generator.max_new_tokens)
    facts = {"id": f"{form.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": served.name}
    facts["system_fingerprint"] = f"v{served.version}-{served.format}"
    if not body.stream:
        found = await while_awaited(request, answers.whole(served, text, prompt, sampling))
        choices = [form.choice(found)]
        return JSONResponse({**facts, "object": form.object, "choices": choices, "usage": _usage(found)})
    answers.check_room(served)
    news = answers.write(served, text, prompt, sampling)
    # What is wrong with the request shows with the first piece, while a status can still say so.
    first = await while_awaited(request, anext(news))
    usage = bool(body.stream_options and body.stream_options.include_usage)
    stream = _stream(first, news, {**facts, "object": form.stream_object}, form, usage)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _stream(
    first: str | Completion, news: Any, facts: dict[str, Any], form: Form, with_usage: bool
) -> AsyncIterator[str]:
    """Give the answer as server-sent events; what goes wrong on the way is the last of them."""
    piece: str | Completion | None = first
    async with aclosing(news):
        try:
            while piece is not None:
                for choice in form.last_pieces(piece) if isinstance(piece, Completion) else form.pieces(piece):
                    yield _event({**facts, "choices": [choice]})
                if isinstance(piece, Completion) and with_usage:
                    yield _event({**facts, "choices": [], "usage": _usage(piece)})
                piece = await anext(news, None)
            yield "data: [DONE]\n\n"
        except TunelineError as fault:
            yield _event(fault_record(fault.status, fault.code(), str(fault)))


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
            raise InvalidRequest(
                f"The prompt has the token id {max(prompt)}; the model's ids end at {len(tokenizer) - 1}."
            )
        return prompt

    return make


def _model(served: Served) -> dict[str, Any]:
    created = int(served.loaded_at.timestamp())
    return {"id": served.name, "object": "model", "created": created, "owned_by": "tuneline"}


def _usage(found: Completion) -> dict[str, int]:
    asked, written = found.prompt_tokens, found.completion_tokens
    return {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": asked + written}
