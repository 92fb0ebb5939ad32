"""A cure that names a key of a config names the parameter that sets it, where the job's spec has one."""

import pytest
import yaml

from agents import AGENTS
from pipelines import shipped_specs
from pipelines.engine.worker.cures import with_params
from pipelines.judge import judge
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
        ("validation", "Lower `minimum_rows`.", []),
        ("training", "Set a smaller `batch_size`, `lora`.", []),
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
    assert all(f"`-p {param}=...`" in told["message"] for param in named)


def test_faults_that_no_value_cures_and_specs_without_the_parameter_are_left_as_they_are() -> None:
    found = plan("spam")
    fault = {"error": "AGENT_FAILED", "message": "`text_column` failed.", "details": []}
    assert with_params(fault, found.nodes["dataset"], found) == fault

    spec = yaml.safe_load(shipped_specs()["spam"].read_text(encoding="utf-8"))
    spec["nodes"]["dataset"]["config"] = {"source": "${params.data}"}
    spec["params"] = {key: spec["params"][key] for key in ("data", "model", "epochs", "minimum", "model_name")}
    own = judge(spec, {}, AGENTS)
    fault = {"error": "INVALID_DATA", "message": "Set `text_column`.", "details": []}
    assert with_params(fault, own.nodes["dataset"], own) == fault


def _node(plan: Plan, agent: str) -> str:
    return next(name for name, node in plan.nodes.items() if node.agent == agent)
