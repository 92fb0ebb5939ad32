"""An answer that is still being written: what is sent of it, piece by piece, is what the whole says."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.chat.answer_form import AnswerForm, Thought
from agents.chat.answers import Answer
from agents.chat.calls import EnvelopedCalls, JsonCalls, KeyedCalls
from agents.chat.parting import Parting

TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "time"}}]
LLAMA = EnvelopedCalls("", "", "name", "parameters", ('{"name": "', '", "parameters": ', "}"))
MISTRAL = JsonCalls("[TOOL_CALLS]", "[ARGS]", "", "[TOOL_CALLS]")
XML = KeyedCalls(
    before="<tool_call>\n<function=",
    opens=">\n<parameter=",
    equals=">\n",
    quotes=("", ""),
    following="\n</parameter>\n<parameter=",
    closes="\n</parameter>\n</function>\n</tool_call>",
    empty=">\n</function>\n</tool_call>",
    between="\n",
    after="",
)
HERMES, THINKING = AnswerForm(), AnswerForm(thought=Thought())
CALL = '<tool_call>\n{"name": "time", "arguments": {"at": "<b>"}}\n</tool_call>'
CALLED = ({"name": "time", "arguments": {"at": "<b>"}},)
#: Form, what was written, what it says.
WRITTEN: list[tuple[AnswerForm, str, Answer]] = [
    (HERMES, "It is <b>late</b>, < 5 & <tool", Answer("It is <b>late</b>, < 5 & <tool")),
    (HERMES, CALL, Answer("", "", CALLED)),  # type: ignore[arg-type]
    (HERMES, f"I look. \n{CALL}\n{CALL}", Answer("I look.", "", CALLED * 2)),  # type: ignore[arg-type]
    (HERMES, '<tool_call>{"name": 5}</tool_call>', Answer('<tool_call>{"name": 5}</tool_call>')),
    (HERMES, "<tool_call>\n{broken", Answer("<tool_call>\n{broken")),
    (THINKING, "<think>\n2 and 2\n</think>\n\n4 < 5", Answer("4 < 5", "2 and 2")),
    (THINKING, "<think>\nmuch to think", Answer("", "much to think")),
    (THINKING, f"<think>\nI look\n</think>\n\n{CALL}", Answer("", "I look", CALLED)),  # type: ignore[arg-type]
    (AnswerForm(lead="<think>\n\n</think>\n\n"), "<think>\n\n</think>\n\n4", Answer("4")),
    (AnswerForm(lead="<|final|>", special=frozenset({"<|final|>", "<|x|>"})), "<|final|>4 <|x|>5", Answer("4 5")),
    (
        AnswerForm(calls=LLAMA),
        '{"name": "time", "parameters": {}}',
        Answer("", "", ({"name": "time", "arguments": {}},)),
    ),
    (AnswerForm(calls=LLAMA), '{"sum": 4}', Answer('{"sum": 4}')),
    (
        AnswerForm(calls=MISTRAL),
        'Well.[TOOL_CALLS]time[ARGS]{"at": 5}[TOOL_CALLS]f[ARGS]{}',
        Answer("Well.", "", ({"name": "time", "arguments": {"at": 5}}, {"name": "f", "arguments": {}})),
    ),
    (
        AnswerForm(calls=XML),
        "<tool_call>\n<function=f>\n<parameter=a>\n7\n</parameter>\n<parameter=b>\nx\ny\n</parameter>\n</function>\n</tool_call>",
        Answer("", "", ({"name": "f", "arguments": {"a": 7, "b": "x\ny"}},)),
    ),
]


@pytest.mark.parametrize(("form", "text", "says"), WRITTEN)
def test_an_answer_is_taken_apart(form: AnswerForm, text: str, says: Answer) -> None:
    assert form.read(text, TOOLS) == says


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(WRITTEN), st.data())
def test_pieces_say_what_the_whole_does_and_nothing_is_taken_back(
    written: tuple[AnswerForm, str, Answer], data: st.DataObject
) -> None:
    form, text, says = written
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    parting = Parting(form, TOOLS)
    reasoning = said = ""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        thought, spoken = parting.take(text[start:end])
        reasoning, said = reasoning + thought, said + spoken
    thought, spoken, answer = parting.end(text)
    assert answer == says
    assert (reasoning + thought, said + spoken) == (says.reasoning, says.content)
