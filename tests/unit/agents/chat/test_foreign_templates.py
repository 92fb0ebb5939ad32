"""Every chat template that TRL ships: what is learned is what is read back, and a prompt is the first of the whole."""

import re
from collections.abc import Iterator
from functools import cache, partial
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.base.errors import InvalidModel
from agents.chat.answers import answer_of
from agents.chat.markup import chat_template
from agents.chat.native import as_parts
from agents.chat.renderer import Renderer, make_renderer
from agents.chat.template_process import TemplateProcess
from agents.chat.templates import ChatTemplate
from agents.chat.truncation import Learnable, learnable
from agents.data.types import Message
from tests.support.decoders import smollm2_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPEC = find_spec("trl")
assert SPEC is not None
assert SPEC.origin is not None
FOLDER = Path(SPEC.origin).parent / "chat_templates"
TEMPLATES = sorted(file.stem for file in FOLDER.glob("*.jinja"))
MARKUP = re.compile(r"<\|[\w/]+\|?>|<\w+\|>|<\uff5c[^\uff5c<>]+\uff5c>|<(?:start|end)_of_\w+>|\[/?INST\]")
#: Of models that see pictures: texts are given to them in lists of parts.
SEEING = re.compile("idefics3|llava_next|smolvlm")
PROCESS = TemplateProcess()
#: Those that can't be used at all: answers end with nothing that a model could learn to stop by.
UNUSABLE = {"glm4moe": "ends an answer without a special token"}
THINKING = frozenset({"reasoning", "reasoning in turns", "reasoning and call"})
ONCE_MORE = frozenset({"call and result", "reasoning and call"})
SYSTEMS = frozenset({"system", "reasoning in turns"})
ONE_CALL = frozenset({"two calls", "said and called", "reasoning and call"})
#: Cases of which a template leaves a part out, writes it so that it can't be told apart, or that it refuses.
LACKING = {
    **dict.fromkeys(("deepseek_r1_distill", "deepseekv3", "deepseekv3_training"), THINKING),
    **dict.fromkeys(("diffusion_gemma", "diffusion_gemma_training", "gemma4_v5"), ONCE_MORE),
    **dict.fromkeys(("gemma", "gemma_training"), SYSTEMS),
    **dict.fromkeys(("gemma4", "gemma4_v2", "gemma4_v3", "gemma4_v4"), ONCE_MORE),
    **dict.fromkeys(("gptoss", "gptoss_training", "llama3_1", "llama3_2"), ONE_CALL),
}


def said(role: Any, content: str, **more: Any) -> Message:
    return {"role": role, "content": content, **more}  # type: ignore[typeddict-item]


WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "now": {"type": "boolean"}},
            "required": ["city"],
        },
    },
}
TIME: dict[str, Any] = {
    "type": "function",
    "function": {"name": "time", "description": "The time.", "parameters": {"type": "object", "properties": {}}},
}
ASKED, SYSTEM = said("user", "What is 2 + 2?"), said("system", "Be brief.")
ODD = 'é „x" {"a": [1, "<b>"]}\n\n  {% if %} {{ y }} 中文 🙂 \\n </s > & <i>'
CALL = said("assistant", "", tool_calls=[{"name": "get_weather", "arguments": {"city": 'Ålesund "N"', "days": 3}}])
BARE = said("assistant", "", tool_calls=[{"name": "time", "arguments": {}}])
SAID_AND_CALLED = said("assistant", "I look.", tool_calls=[{"name": "get_weather", "arguments": {"city": "7"}}])
TWICE = said(
    "assistant", "", tool_calls=[CALL["tool_calls"][0], {"name": "get_weather", "arguments": {"city": "Rome"}}]
)
TOOLS = [WEATHER, TIME]
RESULT = said("tool", "-3 C")
THOUGHT = said("assistant", "4", reasoning="2 and 2\nmake 4")
CASES: dict[str, tuple[list[Message], list[dict[str, Any]] | None]] = {
    "one turn": ([ASKED, said("assistant", '{"sum": 4}')], None),
    "system": ([SYSTEM, ASKED, said("assistant", "4")], None),
    "several turns": ([ASKED, said("assistant", "4"), said("user", "And 3?"), said("assistant", "5")], None),
    "odd characters": ([said("user", ODD), said("assistant", ODD)], None),
    "an answer unlearned": (
        [ASKED, said("assistant", "4", learned=False), said("user", "And 3?"), said("assistant", "5")],
        None,
    ),
    "reasoning": ([ASKED, THOUGHT], None),
    "reasoning in turns": ([SYSTEM, ASKED, THOUGHT, said("user", "And 3?"), THOUGHT], None),
    "tools unused": ([ASKED, said("assistant", "4")], TOOLS),
    "call": ([SYSTEM, ASKED, CALL], TOOLS),
    "call without arguments": ([ASKED, BARE], TOOLS),
    "two calls": ([ASKED, TWICE], TOOLS),
    "said and called": ([ASKED, SAID_AND_CALLED], TOOLS),
    "call and result": ([ASKED, CALL, RESULT, said("assistant", "Cold.")], TOOLS),
    "reasoning and call": ([ASKED, {**CALL, "reasoning": "I must look."}, RESULT, said("assistant", "Cold.")], TOOLS),
}


@cache
def tokenizer() -> "PreTrainedTokenizerFast":
    """SmolLM2's, with the markup of all templates."""
    found = smollm2_tokenizer()
    texts = (file.read_text(encoding="utf-8") for file in FOLDER.glob("*.jinja"))
    markup = {token for text in texts for token in MARKUP.findall(text)}
    found.add_special_tokens({"additional_special_tokens": sorted({*markup, "</s>"})})
    # As Qwen has them.
    found.add_tokens(["<think>", "</think>", "<tool_call>", "</tool_call>"])
    return found


def runs(part: Learnable) -> Iterator[tuple[int, list[int]]]:
    """Yield where each learned answer begins, and its tokens."""
    at = 0
    for learned, group in groupby(
        zip(part.rendered.loss_mask, part.rendered.input_ids, strict=True), lambda one: one[0]
    ):
        ids = [number for _, number in group]
        if learned:
            yield at, ids
        at += len(ids)


def check(renderer: Renderer, part: Learnable, tools: Any) -> int:
    """See that each learned answer is read back as it is; return how many there are."""
    answers = [at for at, one in enumerate(part.messages) if one["role"] == "assistant" and one.get("learned", True)]
    for at, (start, ids) in zip(answers, runs(part), strict=True):
        answer = answer_of(part.messages[at])
        assert renderer.answer(ids, tools) == answer.text.strip()
        reasoning = renderer.read(renderer.decode(ids[:-1]), tools).reasoning
        assert reasoning == (answer.reasoning if renderer.keeps_reasoning else "")
        assert ids[-1] in renderer.end_token_ids
        prompt = renderer.prompt_ids([{**one, "learned": True} for one in part.messages[:at]], tools)
        assert prompt == part.rendered.input_ids[:start]
    return len(answers)


def check_export(renderer: Renderer, template: str, keeps_reasoning: bool) -> None:
    """See that the template that files carry prompts as in training by itself, on any day, and has the same
    fingerprint."""
    tokenizer().chat_template = chat_template(renderer.template)
    for turns in CASES["one turn"][0][:1], CASES["several turns"][0][:3]:
        given = [as_parts(turn) for turn in turns] if SEEING.match(template) else turns
        written = tokenizer().apply_chat_template(given, tokenize=False, add_generation_prompt=True)
        assert written == "".join(piece.text for piece in renderer.template.pieces(turns))
    again = make_renderer("tokenizer", tokenizer(), keeps_reasoning=keeps_reasoning)
    assert again.fingerprint == renderer.fingerprint


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render in one process for all templates: starting one takes longer than the rest."""
    monkeypatch.setattr("agents.chat.renderer.ChatTemplate", partial(ChatTemplate, process=PROCESS))


@pytest.mark.parametrize("keeps_reasoning", [False, True])
@pytest.mark.parametrize("template", TEMPLATES)
def test_an_answer_is_read_back_as_it_was_learned(template: str, keeps_reasoning: bool) -> None:
    tokenizer().chat_template = (FOLDER / f"{template}.jinja").read_text(encoding="utf-8")
    if template in UNUSABLE:
        with pytest.raises(InvalidModel, match=rf"{UNUSABLE[template]}.*Set preprocessing's `template`"):
            make_renderer("tokenizer", tokenizer(), keeps_reasoning=keeps_reasoning)
        return
    renderer = make_renderer("tokenizer", tokenizer(), keeps_reasoning=keeps_reasoning)
    check_export(renderer, template, keeps_reasoning)
    for name, (messages, tools) in CASES.items():
        found = learnable(messages, renderer, 100_000, tools=tools)
        learned = sum(check(renderer, part, tools) for part in found.parts)
        wanted = sum(one["role"] == "assistant" and one.get("learned", True) for one in messages)
        assert found.reason is None or (found.reason.kind, name in LACKING.get(template, ())) == (
            "template_refused",
            True,
        )
        assert found.reason is not None or learned == wanted


PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "\n",
        " ",
        "'",
        '"',
        "{",
        "}",
        "<tool_call>",
        "</tool_call>",
        "a",
        "7",
        "é",
        "`",
        "),",
        "x=",
        "<b>",
        ",",
    ]
)
ODD_TEXTS = st.lists(PIECES, min_size=1, max_size=8).map("".join)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ODD_TEXTS, ODD_TEXTS)
@pytest.mark.parametrize("template", ["qwen3", "qwen3_5_think", "lfm2_2_5_v2", "glm4moe_training", "gemma4_v5", "phi3"])
def test_whatever_an_answer_says_it_is_read_back_or_refused(template: str, text: str, argument: str) -> None:
    tokenizer().chat_template = (FOLDER / f"{template}.jinja").read_text(encoding="utf-8")
    renderer = make_renderer("tokenizer", tokenizer())
    call = {"name": "get_weather", "arguments": {"city": argument, "of": [argument, {"a": None}], "days": 7}}
    for answer in (said("assistant", text), said("assistant", "", tool_calls=[call])):
        found = learnable([ASKED, answer], renderer, 100_000, tools=TOOLS)
        assert sum(check(renderer, part, TOOLS) for part in found.parts) == (found.reason is None)
