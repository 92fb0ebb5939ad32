"""Sixth pass: what conditions name."""

from collections.abc import Mapping
from typing import Any

from pipelines.graph import Graph
from pipelines.judge.faults import Faults
from pipelines.judge.judged_node import JudgedNodes
from pipelines.wording import suggestion


def check_conditions(nodes: JudgedNodes, params: Mapping[str, Any], graph: Graph, faults: Faults) -> None:
    """Report conditions on parameters, nodes or output fields that there are not."""
    for name, judged in nodes.items():
        when = judged.node.when
        if when is None:
            continue
        if when.param is not None and when.param not in params:
            faults.report(f"nodes.{name}.when.param", suggestion(when.param, params))
        if when.output is not None:
            _check_output(name, when.output, nodes, graph, faults)


def _check_output(name: str, output: str, nodes: JudgedNodes, graph: Graph, faults: Faults) -> None:
    path = f"nodes.{name}.when.output"
    other, _, field = output.rpartition(".")
    if not field or not graph.runs_before(other, name):
        faults.report(path, "names node.field of a node that runs before this one")
        return
    agent = nodes[other].agent
    if agent is not None and field not in agent.output_type.model_fields:
        faults.report(path, f"'{field}': {suggestion(field, agent.output_type.model_fields)}")
