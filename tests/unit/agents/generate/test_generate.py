"""Generation, offline: grammars that come to an end, answers that are rows, waits that are asked for."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from agents.base.budgets import GRAMMAR
from agents.base.errors import NotAllowed, StopRequested, TunelineError, Unavailable
from agents.generate.asking import fault_of, question, rows_of
from agents.generate.endpoint import ChatEndpoint, retry_after_s
from agents.generate.grammar import GrammarSource
from agents.generate.rules import Shortest, named_in, shortest
from agents.generate.settings import EndpointSettings
from agents.generate.types import Example, GenerateConfig, Grammar, LanguageModel

RULES = {
    "task": ["buy <thing>", "call <who>", "<task> and <task>"],
    "thing": ["milk", "bread", "two lamps"],
    "who": ["my mother", "the dentist"],
    "when": ["today", "on Monday", "at <hour>"],
    "hour": ["eight", "noon"],
}
PATTERN = {"text": "remind me to <task> <when>", "label": '{"what": "<task>", "when": "<when>"}'}
SCHEMA = {"type": "object", "required": ["what"], "properties": {"what": {"type": "string"}}}
LLM = {"instruction": "Text messages.", "examples": [{"text": "see you at 8", "label": "ham"}]}


def config(**fields: Any) -> GenerateConfig:
    return GenerateConfig.model_validate({"rows": 10, **fields})


@given(st.integers(0, 10_000), st.integers(0, 5))
def test_a_pattern_is_filled_alike_in_text_and_label(number: int, seed: int) -> None:
    source = GrammarSource(Grammar.model_validate({"patterns": [PATTERN], "rules": RULES}), seed)
    row = source.row(number)
    assert "<" not in row.text + row.label
    what, when = row.label.removeprefix('{"what": "').removesuffix('"}').split('", "when": "')
    assert row.text == f"remind me to {what} {when}"
    assert source.row(number) == row


def test_a_second_reference_may_come_out_otherwise() -> None:
    grammar = Grammar.model_validate({"patterns": [{"text": "<who> and <who:2>", "label": "<who>"}], "rules": RULES})
    rows = [GrammarSource(grammar, 1).row(number) for number in range(50)]
    assert all(row.text.startswith(row.label) for row in rows)
    assert any(row.text != f"{row.label} and {row.label}" for row in rows)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({}, "set either `llm` or `grammar`"),
        ({"llm": LLM, "grammar": {"patterns": [PATTERN], "rules": RULES}}, "set either"),
        ({"grammar": {"patterns": [PATTERN], "rules": {"task": ["x"]}}}, "no rule for <when>"),
        ({"grammar": {"patterns": [PATTERN], "rules": {**RULES, "hour": ["<hour> sharp"]}}}, "comes to an end: <hour>"),
        ({"llm": LLM, "labels": ["ham"]}, "two or more"),
        ({"llm": LLM, "labels": ["spam", "other"]}, "not among the labels: ham"),
        ({"llm": LLM, "labels": ["ham", "spam"], "answer_schema": SCHEMA}, "with labels there are none"),
        ({"llm": LLM, "answer_schema": {"type": "objekt"}}, "is not a JSON Schema"),
        ({"llm": {**LLM, "api_key": "secret"}}, "Extra inputs are not permitted"),
        ({"llm": {**LLM, "base_url": "http://elsewhere"}}, "Extra inputs are not permitted"),
    ],
)
def test_a_config_that_can_not_work_is_refused(fault: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**fault)


def doubling(levels: int) -> dict[str, Any]:
    """Return a grammar of few rules whose one row has 2^levels characters."""
    rules = {f"r{n}": [f"<r{n + 1}><r{n + 1}>"] for n in range(levels)} | {f"r{levels}": ["x"]}
    return {"patterns": [{"text": "<r0>", "label": "a"}], "rules": rules}


def chained(levels: int) -> dict[str, Any]:
    rules = {f"r{n}": [f"a <r{n + 1}>"] for n in range(levels)} | {f"r{levels}": ["x"]}
    return {"patterns": [{"text": "<r0>", "label": "a"}], "rules": rules}


@pytest.mark.parametrize(
    ("grammar", "words"),
    [
        (doubling(24), "16,777,217 characters or more"),
        (doubling(30), "1,073,741,825 characters or more"),
        (doubling(60), "characters or more"),
        (doubling(20_000), "only after more than 64 rules: <r"),
        (chained(3_000), "only after more than 64 rules: <r"),
        (chained(20_000), "only after more than 64 rules: <r"),
        ({"patterns": [{"text": "<r>" * 200, "label": "a"}], "rules": {"r": ["x" * 1000]}}, "200,001 characters"),
        ({"patterns": [{"text": "a", "label": "<r>"}], "rules": {"r": ["x" * 100_001]}}, "characters or more"),
        ({"patterns": [PATTERN], "rules": {**RULES, **{f"n{n}": [f"<n{n}>"] for n in range(9)}}}, "and 4 more"),
    ],
)
def test_a_grammar_whose_rows_would_be_too_long_or_too_deep_is_refused_at_once(
    grammar: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        config(grammar=grammar)
    assert words in caught.value.errors()[0]["msg"]


def test_rows_of_shallow_grammars_are_made_whatever_their_rules_allow() -> None:
    rules = {"all": ["<all><all><all><all>", "<all><all><all>", "x"]}
    grammar = Grammar.model_validate({"patterns": [{"text": "<all>", "label": "a"}], "rules": rules})
    source = GrammarSource(grammar, 1)
    rows = [source.row(number) for number in range(200)]
    assert any(row is None for row in rows)
    assert any(row is not None for row in rows)
    assert all(len(row.text) <= GRAMMAR.row_characters for row in rows if row is not None)
    assert [source.row(number) for number in range(50)] == rows[:50]


@given(st.dictionaries(st.sampled_from("abcde"), st.lists(st.text("<>abcde", max_size=12), min_size=1, max_size=3)))
def test_the_shortest_way_of_each_rule_is_found(rules: dict[str, list[str]]) -> None:
    found = shortest(rules)
    for _ in range(len(rules) + 1):
        again = {
            name: 1 + min(ends)
            for name, choices in rules.items()
            if (ends := [max((found[n].steps for n in named_in(c)), default=0) for c in choices if known(c, found)])
        }
    assert {name: way.steps for name, way in found.items()} == again


def known(choice: str, found: dict[str, Shortest]) -> bool:
    return all(name in found for name in named_in(choice))


@pytest.mark.parametrize("text", ["```" + " " * 300_000, "```" + "` " * 200_000 + "x", " " * 300_000 + "```"])
def test_answers_of_many_blanks_are_gone_through_once(text: str) -> None:
    assert rows_of(text, Counter()) == []


@pytest.mark.parametrize(
    ("text", "rows", "refused"),
    [
        ('{"rows": [{"text": "a", "label": "b"}]}', 1, {}),
        ('```json\n[{"text": "a", "label": {"what": "x"}}]\n```', 1, {}),
        ('{"rows": [{"text": "a"}, {"text": 3, "label": "b"}, "x"]}', 0, {"no_row": 3}),
        ("Sure! Here are", 0, {"answer_is_no_json": 1}),
        ('{"text": "a"}', 0, {"answer_without_rows": 1}),
        ('[{"text": "half of a character: \\ud83d", "label": "b"}]', 1, {}),
    ],
)
def test_answers_are_read_row_by_row(text: str, rows: int, refused: dict[str, int]) -> None:
    counted: Counter[str] = Counter()
    found = rows_of(text, counted)
    assert len(found) == rows
    assert all(row.text.encode() for row in found)
    assert +counted == refused


def test_a_row_must_have_a_known_label_or_an_answer_of_the_schema() -> None:
    labelled, answered = config(llm=LLM, labels=["ham", "spam"]), config(llm=LLM, answer_schema=SCHEMA)
    assert fault_of(Example(text="a", label="ham"), labelled) is None
    assert fault_of(Example(text="a", label="eggs"), labelled) == "unknown_label"
    assert fault_of(Example(text=" ", label="ham"), labelled) == "missing_text"
    assert fault_of(Example(text="a", label='{"what": "x"}'), answered) is None
    assert fault_of(Example(text="a", label='{"what": 3}'), answered) == "answer_not_of_schema"
    assert fault_of(Example(text="a", label="what?"), answered) == "answer_no_json"


def test_a_question_asks_for_the_rarest_labels_and_shows_what_is_there() -> None:
    asked = question(config(llm=LLM, labels=["ham", "spam"]), [], Counter(ham=5), 0)[-1]["content"]
    assert "with the label 'spam'." in asked
    assert '{"text": "see you at 8", "label": "ham"}' in asked


# -- the endpoint ----------------------------------------------------------------------------------


def endpoint(
    answers: list[httpx.Response | Exception], wait: Callable[[float], None] = lambda _: None, **fields: Any
) -> ChatEndpoint:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer sk-secret"
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    settings = EndpointSettings(_env_file=None, openrouter_api_key=SecretStr("sk-secret"), gen_model="tiny")
    llm = LanguageModel.model_validate({**LLM, "requests_per_minute": 1e9, **fields})
    return ChatEndpoint(settings, llm, httpx.Client(transport=httpx.MockTransport(answer)), wait)


def said(usage: dict[str, Any] | None = None) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"content": "{}"}}], "usage": usage or {}})


def test_it_waits_as_long_as_it_is_told_and_longer_each_time_where_it_is_not() -> None:
    waits: list[float] = []
    answers = [
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(503),
        httpx.ConnectError("refused"),
        said({"cost": 0.25, "prompt_tokens": 3, "completion_tokens": 4}),
    ]
    found = endpoint(answers, waits.append).ask([], 1)
    assert waits == [7.0, 4.0, 8.0]
    assert (found.cost_usd, found.prompt_tokens, found.completion_tokens) == (0.25, 3, 4)


def test_after_six_tries_another_attempt_may_help() -> None:
    waits: list[float] = []
    with pytest.raises(Unavailable, match="answers 429 after 6 tries"):
        endpoint([httpx.Response(429)] * 6, waits.append).ask([], 1)
    assert len(waits) == 5


def test_a_cancel_ends_the_wait_and_nothing_more_is_asked() -> None:
    def cancelled(_: float) -> None:
        raise StopRequested("cancel")

    answers = [httpx.Response(503), said()]
    with pytest.raises(StopRequested):
        endpoint(answers, cancelled).ask([], 1)
    assert len(answers) == 1


@pytest.mark.parametrize("status", [401, 402, 403, 404, 400])
def test_a_refusal_is_final_and_does_not_show_the_key(status: int) -> None:
    body = {"error": {"message": "the key sk-secret is not known"}}
    with pytest.raises(TunelineError) as raised:
        endpoint([httpx.Response(status, json=body)]).ask([], 1)
    assert not raised.value.retryable
    assert isinstance(raised.value, NotAllowed) == (status in (401, 402, 403))
    assert "sk-secret" not in str(raised.value)
    assert "***" in str(raised.value)


def test_what_a_request_costs_is_told_or_worked_out_or_not_known() -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000}
    priced = {"prompt_price_usd": 0.5, "completion_price_usd": 2.0}
    assert endpoint([said(usage)], **priced).ask([], 1).cost_usd == 1.5
    assert endpoint([said(usage)]).ask([], 1).cost_usd is None


@pytest.mark.parametrize("cost", [-5, -0.01, float("inf"), float("nan"), "free", [1], 1e400])
def test_a_cost_that_is_none_gives_nothing_back(cost: Any) -> None:
    usage = f'{{"cost": {json.dumps(cost)}, "prompt_tokens": -7, "completion_tokens": 1e300}}'
    body = f'{{"choices": [{{"message": {{"content": "{{}}"}}}}], "usage": {usage}}}'
    found = endpoint([httpx.Response(200, text=body)]).ask([], 1)
    assert (found.cost_usd, found.prompt_tokens, found.completion_tokens) == (None, 0, 0)


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * (1 << 20)

    with pytest.raises(TunelineError, match="answers with more than 16 MiB"):
        endpoint([httpx.Response(200, content=endless())]).ask([], 1)


@pytest.mark.parametrize("body", ["[" * 100_000, '{"choices": []}', "[]", "nonsense"])
def test_an_answer_of_another_form_is_a_sentence(body: str) -> None:
    with pytest.raises(TunelineError, match="doesn't answer in OpenAI's form"):
        endpoint([httpx.Response(200, text=body)]).ask([], 1)


def test_requests_keep_their_distance() -> None:
    waits: list[float] = []
    asked = endpoint([said(), said(), said()], waits.append, requests_per_minute=2.0)
    for number in range(3):
        asked.ask([], number)
    assert [round(wait, -1) for wait in waits] == [30.0, 60.0]


def test_a_date_is_as_good_as_seconds() -> None:
    assert retry_after_s(httpx.Response(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0
    assert retry_after_s(httpx.Response(429, headers={"Retry-After": "soon"})) is None
    assert retry_after_s(None) is None


def test_without_a_key_nothing_is_sent() -> None:
    settings = EndpointSettings(_env_file=None, openrouter_api_key=None, gen_model="tiny")
    with pytest.raises(NotAllowed, match="Set OPENROUTER_API_KEY"):
        ChatEndpoint(settings, LanguageModel.model_validate(LLM), httpx.Client(), lambda _: None)
