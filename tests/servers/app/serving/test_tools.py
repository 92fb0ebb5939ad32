"""Tools from rows to OpenAI's own client: a tiny decoder with Qwen3's template learns to call, is judged and served."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import openai
import pytest
from fastapi import FastAPI
from transformers import AutoModelForCausalLM

from agents.models.tokenizers import load_tokenizer
from app.serving.main import create_app
from app.wiring import Parts
from tests.conftest import AgentBench
from tests.golden.pipelines import ROWS, TRAINING, Line, write_rows
from tests.support.decoders import color_rows, write_tiny_decoder
from tests.support.door import TOKEN
from tests.support.written import listening, put_decoder

TRL = find_spec("trl")
assert TRL is not None
assert TRL.origin is not None
QWEN3 = Path(TRL.origin).parent / "chat_templates" / "qwen3.jinja"
PAINT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "paint",
        "parameters": {
            "type": "object",
            "properties": {"color": {"enum": ["red", "blue"]}, "coats": {"type": "integer"}},
            "required": ["color"],
            "additionalProperties": False,
        },
    },
}
STOP: dict[str, Any] = {"type": "function", "function": {"name": "stop"}}
ASK: list[Any] = [{"role": "user", "content": "paint the lamp number 3 red please"}]


def calling_rows(count: int) -> list[str]:
    """Return requests that are answered by a call; who always says red is right three times of four."""
    found = []
    for row in color_rows(count):
        call = {"name": "paint", "arguments": row["output"]}
        turns = [
            {"role": "user", "content": row["input"]},
            {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": call}]},
        ]
        found.append(json.dumps({"messages": turns, "tools": [{"type": "function", "function": {"name": "paint"}}]}))
    return found


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny decoder with the template of Qwen3 and its plain tokens."""
    folder = write_tiny_decoder(tmp_path_factory.mktemp("models") / "thinker", width=64)
    tokenizer, model = load_tokenizer(folder), AutoModelForCausalLM.from_pretrained(folder)
    tokenizer.add_tokens(["<think>", "</think>", "<tool_call>", "</tool_call>"])
    tokenizer.chat_template = QWEN3.read_text(encoding="utf-8")
    model.resize_token_embeddings(len(tokenizer))
    model.config.max_position_embeddings = 512
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def client(parts: Parts) -> Iterator[openai.OpenAI]:
    app = create_app(parts.registry, parts.objects, parts.settings, look_every_s=3600.0)
    put_decoder(parts, 1, "gguf_q8_0")
    yield from asked(app)


def asked(app: FastAPI) -> Iterator[openai.OpenAI]:
    app.state.serving.reconciler.follow()
    assert app.state.serving.reconciler.troubles() == {}
    with listening(app) as url, openai.OpenAI(base_url=f"{url}/v1", api_key=TOKEN, max_retries=0) as found:
        yield found


def streamed(client: openai.OpenAI, **body: Any) -> tuple[str, list[tuple[str, str]], str | None]:
    """Return what is said, the calls, and how it ended."""
    said, calls, reason = "", [], None
    for chunk in client.chat.completions.create(stream=True, **body):
        choice = chunk.choices[0]
        said += choice.delta.content or ""
        calls += [(call.function.name, call.function.arguments) for call in choice.delta.tool_calls or ()]
        reason = choice.finish_reason or reason
    return said, calls, reason


@pytest.mark.slow
def test_calls_are_learned_judged_exported_and_answered(parts: Parts, tmp_path: Path, thinker: Path) -> None:
    bench = AgentBench(parts.objects, tmp_path / "work", (thinker.parent,))
    write_rows(bench, calling_rows(80))
    line = Line(bench)
    line.run("dataset", {"source": ROWS})
    line.run("validation", {})
    line.run("preprocessing", {"task": "sft", "model": thinker.name, "dedup": "exact", "max_tokens": 400})
    training = {**TRAINING, "task": "sft", "model": thinker.name, "method": "full", "metric": "exact_match"}
    trained: Any = line.run("training", {**training, "epochs": 20, "learning_rate": 0.01})
    judged: Any = line.run("evaluation", {"metric": "tool_call", "minimum": 0.5, "model_name": "task"})

    validated = max(trained.metrics[name] for name in trained.metrics if name.endswith("exact_match"))
    assert validated >= 0.5
    assert judged.metrics["tool_name"] == 1.0
    assert judged.metrics["tool_call"] == judged.metrics["tool_arguments"] == judged.metrics["exact_match"] >= 0.5
    low, high = judged.metric_interval
    assert low <= judged.metrics["tool_call"] <= high

    line.run("export", {"formats": ["merged"], "model_name": "task"}, version=1)
    parts.registry.rebuild()
    parts.registry.promote("task", 1, at=1.0, reason="test")
    app = create_app(parts.registry, parts.objects, parts.settings, look_every_s=3600.0)
    for client in asked(app):
        body: dict[str, Any] = {
            "model": "task",
            "messages": ASK,
            "tools": [{"type": "function", "function": {"name": "paint"}}],
        }
        choice = client.chat.completions.create(**body).choices[0]
        call = choice.message.tool_calls[0]
        assert (choice.finish_reason, choice.message.content, call.function.name) == ("tool_calls", "", "paint")
        assert json.loads(call.function.arguments)["color"] in ("red", "blue")
        assert streamed(client, **body) == ("", [("paint", call.function.arguments)], "tool_calls")
        with pytest.raises(openai.BadRequestError, match="gguf_q8_0"):
            client.chat.completions.create(**body, tool_choice="required")


def test_a_call_that_is_required_keeps_to_the_schema(client: openai.OpenAI) -> None:
    tools = [PAINT, STOP]
    named: dict[str, Any] = {"type": "function", "function": {"name": "paint"}}
    for choice, names in (("required", {"paint", "stop"}), (named, {"paint"})):
        body: dict[str, Any] = {"model": "task", "messages": ASK, "tools": tools, "tool_choice": choice, "seed": 1}
        answer = client.chat.completions.create(**body).choices[0]
        assert answer.finish_reason == "tool_calls"
        (call,) = answer.message.tool_calls
        assert call.function.name in names
        arguments = json.loads(call.function.arguments)
        if call.function.name == "paint":
            assert arguments["color"] in ("red", "blue")
            assert set(arguments) <= {"color", "coats"}
        assert streamed(client, **body) == ("", [(call.function.name, call.function.arguments)], "tool_calls")


def test_calls_and_results_go_in_and_tools_may_be_left_out(client: openai.OpenAI) -> None:
    calls = [
        {"id": name, "type": "function", "function": {"name": name, "arguments": '{"color": "red"}'}}
        for name in ("paint", "stop")
    ]
    turns = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "stop", "content": "stopped"},
        {"role": "tool", "tool_call_id": "paint", "content": "painted"},
    ]
    shown = client.chat.completions.create(model="task", messages=turns, tools=[PAINT, STOP], max_tokens=4)
    hidden = client.chat.completions.create(
        model="task", messages=turns, tools=[PAINT, STOP], tool_choice="none", max_tokens=4
    )
    assert shown.usage.prompt_tokens > hidden.usage.prompt_tokens + 100
    assert hidden.choices[0].message.tool_calls is None


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tool_choice": "required"}, "there are no tools"),
    ({"tools": [PAINT], "tool_choice": {"type": "function", "function": {"name": "fly"}}}, "not among tools"),
    ({"tools": [PAINT, PAINT]}, "same name"),
    ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"$ref": "http://x"}}}]}, "leads out"),
    ({"tools": [{"type": "retrieval"}]}, "tools"),
    ({"messages": [*ASK, {"role": "assistant", "content": None}, *ASK]}, "content is missing"),
    ({"functions": [PAINT["function"]]}, "functions is not supported"),
    (
        {"tools": [PAINT], "tool_choice": "required", "response_format": {"type": "json_object"}},
        "response_format can't be asked for",
    ),
    (
        {
            "messages": [
                *ASK,
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "a", "arguments": "{"}}],
                },
                {"role": "tool", "tool_call_id": "a", "content": "x"},
            ]
        },
        "arguments must be JSON text",
    ),
]


def test_what_can_not_be_followed_is_a_sentence(client: openai.OpenAI) -> None:
    for change, said in REFUSED:
        with pytest.raises(openai.BadRequestError) as found:
            client.post("/chat/completions", body={"model": "task", "messages": ASK, **change}, cast_to=object)
        assert said in found.value.message, found.value.message
