"""A cure that names a key of a config names the parameter that sets it, where the job's spec has one."""

import re

import pytest
import yaml

from agents import AGENTS
from pipelines import shipped_specs
from pipelines.engine.worker.cures import with_params
from pipelines.judge import judge
from pipelines.params import leaves
from pipelines.plan import Plan


def plan(name: str) -> Plan:
    text = shipped_specs()[name].read_text(encoding="utf-8")
    return judge(yaml.safe_load(text), {}, AGENTS)


@pytest.mark.parametrize("name", shipped_specs())
@pytest.mark.parametrize(
    ("node", "message", "named"),
    [
        ("dataset", "Set the dataset node's `text_column` to one of them.", ["text_column"]),
        ("dataset", "Check the rows, or set `shape`, `text_column` and `label_column`.", ["shape", "text_column"]),
        ("dataset", "Save it as UTF-8, or name its encoding in `encoding`.", ["encoding"]),
        ("preprocessing", "Set `text_column` and `label_column` for the dataset node.", ["text_column"]),
        ("dataset", "Set `part` to one of them, or `label_map`.", ["part", "label_map"]),
        ("validation", "Lower `minimum_rows`.", ["validation.minimum_rows"]),
        ("training", "Set a smaller `batch_size` or `lora.r`.", ["training.batch_size", "training.lora.r"]),
        ("training", "Lower `temperature`.", []),
        ("evaluation", "Lower `minimum`.", ["minimum"]),
    ],
)
def test_the_parameter_is_named(name: str, node: str, message: str, named: list[str]) -> None:
    found = plan(name)
    told = with_params(
        {"error": "INVALID_DATA", "message": message, "details": []}, found.nodes[_node(found, node)], found
    )

    assert told["message"].startswith(message)
    assert ("In this job" in told["message"]) == bool(named)
    known = [param for param in named if param != "label_map" or name != "pretraining"]
    assert all(f"`-p {param}=...`" in told["message"] for param in known)


def test_faults_that_no_value_cures_are_left_as_they_are() -> None:
    found = plan("spam")
    fault = {"error": "AGENT_FAILED", "message": "`text_column` failed.", "details": []}

    assert with_params(fault, found.nodes["dataset"], found) == fault


@pytest.mark.parametrize("name", shipped_specs())
def test_what_a_cure_says_can_be_typed(name: str) -> None:
    text = shipped_specs()[name].read_text(encoding="utf-8")
    found = plan(name)
    for node in found.nodes.values():
        for key, value in leaves(node.config):
            told = with_params({"error": "INVALID_DATA", "message": f"Set `{key}`."}, node, found)["message"]
            (param,) = re.findall(r"`-p ([\w.-]+)=", told)
            again = judge(yaml.safe_load(text), {param: value}, AGENTS)
            assert dict(leaves(again.nodes[node.name].config))[key] == value


def _node(plan: Plan, agent: str) -> str:
    return next(name for name, node in plan.nodes.items() if node.agent == agent)
