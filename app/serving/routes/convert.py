"""`POST /convert`: a text as structured data, by the task model; its answers are JSON by grammar."""

import json
import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from agents.base.errors import InvalidRequest, NotFound, Overloaded, TimedOut, Unavailable
from agents.chat.answers import Conversation
from agents.data.cleaning import clean_content
from agents.models.generators.base import Completion, SamplingParams
from app.openapi import faults
from app.schemas import Fault
from app.serving.routes.awaited import while_awaited
from app.serving.routes.schemas import ConvertAnswer, ConvertBody, ConvertFailure
from app.serving.runtime.answers import Answers, conversation
from app.serving.versions.served import Served


def add_convert_route(app: FastAPI, answers: Answers, default_model: str) -> None:
    """Add the route; `default_model` answers where a request names none."""

    @app.post(
        "/convert",
        tags=["predictions"],
        summary="Turn a text into data",
        response_model=ConvertAnswer,
        responses=faults(NotFound, Overloaded, TimedOut, Unavailable)
        | faults(InvalidRequest, model=Fault | ConvertFailure),
    )
    async def convert_text(body: ConvertBody, request: Request) -> Any:
        """Return a text as structured data."""
        served = answers.decoder(body.model or default_model)
        if served.answer_schema is None:
            raise InvalidRequest(
                f"The answers that '{served.name}' learned are not JSON objects.",
                cure="Ask it by POST /v1/chat/completions.",
            )
        started = time.perf_counter()
        text = clean_content(body.text) if served.clean else body.text
        sampling = _sampling(served)
        asked = Conversation([{"role": "user", "content": text}])
        prompt = conversation(asked, with_lead=sampling.json_schema is not None)
        found = await while_awaited(request, answers.whole(served, body.text, prompt, sampling))
        data = _object(served.generator.renderer.read(found.text).content)
        facts = {"model": served.name, "version": served.version, "latency_ms": _milliseconds(started)}
        if data is None:
            return JSONResponse({"success": False, "structured_data": None, **facts, **_why(served, found)}, 422)
        return JSONResponse({"success": True, "structured_data": data, **facts})


def _sampling(served: Served) -> SamplingParams:
    generator = served.generator
    schema = json.loads(served.answer_schema) if served.answer_schema and generator.makes_json else None
    return SamplingParams(generator.max_new_tokens, json_schema=schema, with_markup=True)


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
        # What can't be sent, such as NaN or half of a character, is not JSON.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _why(served: Served, answer: Completion) -> dict[str, str]:
    if answer.finish_reason == "length":
        cut = f"'{served.name}' was cut off after {answer.completion_tokens} tokens, before its JSON was whole."
        return {"error": "ANSWER_CUT_OFF", "message": f"{cut} Shorten the text, or train with such long answers."}
    return {
        "error": "ANSWER_NOT_JSON",
        "message": f"'{served.name}' did not answer with a JSON object. Export it as gguf_q8_0: a grammar ensures one.",
    }


def _milliseconds(started: float) -> float:
    return round((time.perf_counter() - started) * 1e3, 3)
