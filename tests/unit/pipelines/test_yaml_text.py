"""Specs as people write them in YAML: what a value is read as, and what no spec may hold."""

import json
from datetime import date
from math import inf, nan
from typing import Any

import pytest
import yaml

from agents.base.errors import InvalidSpec
from pipelines.judge import judge
from pipelines.plan import Plan
from pipelines.yaml_text import read_yaml
from tests.support.agents import TEST_AGENTS, echo, spec


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01 10:00:00", "2024-01-01 10:00:00"),
        ("5e-5", 5e-5),
        ("-1E3", -1000.0),
        ("5.0e-5", 5e-5),
        ("v2e3", "v2e3"),
        ("'5e-5'", "5e-5"),
        ("3", 3),
        ("[1, null, true, a]", [1, None, True, "a"]),
        ("{a: &x {b: 1}, c: {<<: *x, b: 2}}", {"a": {"b": 1}, "c": {"b": 2}}),
    ],
)
def test_a_value_is_what_it_looks_like(written: str, value: Any) -> None:
    assert read_yaml(written) == value


@pytest.mark.parametrize("written", ["{a: 1, a: 2}", "nodes:\n  a: {agent: echo}\n  a: {agent: echo}\n"])
def test_a_key_twice_is_a_fault_with_its_line(written: str) -> None:
    with pytest.raises(yaml.YAMLError, match="the key 'a' is there twice"):
        read_yaml(written)


@pytest.mark.parametrize(
    ("params", "path", "message"),
    [
        ({"say": inf}, "params.say", "inf is no number"),
        ({"say": nan}, "params.say", "nan is no number"),
        ({"say": date(2024, 1, 1)}, "params.say", "a date is no value of a spec"),
        ({"say": [b"x"]}, "params.say[0]", "a bytes is no value of a spec"),
        ({"say": "\ud800"}, "params.say", "half of a character"),
        ({"say": {True: "x"}}, "params.say", "YAML reads one of the keys as True"),
    ],
)
def test_what_json_can_not_hold_is_refused_once_with_its_path(params: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        judge(spec({"a": echo(config={"say": "${params.say}"})}, params=params), {}, TEST_AGENTS)

    found = {fault["path"]: fault["message"] for fault in caught.value.details}
    assert message in found[path]


def test_an_endless_timeout_is_one_fault() -> None:
    with pytest.raises(InvalidSpec) as caught:
        judge(spec({"a": echo(timeout=inf)}), {}, TEST_AGENTS)

    assert [fault["path"] for fault in caught.value.details] == ["nodes.a.timeout"]


def test_a_plan_is_the_same_after_it_was_stored() -> None:
    nodes = {
        "a": echo(config={"say": "${params.text}", "level": "${params.number}"}, timeout="1.5h"),
        "b": echo("a", matrix={"level": [1, 2]}, when={"output": "a.said", "one_of": [None, 1, 2.5, True, "x"]}),
        "c": echo("b", when={"param": "map", "not_equals": None}),
    }
    params = {"text": "1e3", "number": 3, "map": {"1": [None, True, 0.1, "ü/="]}}
    plan = judge(spec(nodes, params=params), {"text": "null"}, TEST_AGENTS)

    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert json.loads(plan.model_dump_json())["params"] == params | {"text": "null"}


def ever_more() -> list[Any]:
    value: list[Any] = ["x"] * 9
    for _ in range(9):
        value = [value] * 9
    return value


def inside_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [ever_more(), inside_itself()], ids=["ever more", "inside itself"])
def test_references_that_never_end_are_refused(value: list[Any]) -> None:
    with pytest.raises(InvalidSpec, match="at most 100,000 values, nested 50 deep"):
        judge(spec({"a": echo(config={"say": "${params.say}"})}, params={"say": value}), {}, TEST_AGENTS)
