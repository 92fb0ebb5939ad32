"""Second pass: the parameters and their places, `${params.<name>}`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.judge.faults import Faults
from pipelines.judge.judged_node import JudgedNode, JudgedNodes
from pipelines.params import references, substitute, within_texts
from pipelines.spec import Spec
from pipelines.wording import suggestion


def check_overrides(head: Spec, overrides: Mapping[str, Any], faults: Faults) -> None:
    """Report values for parameters that the spec doesn't have."""
    for name in overrides:
        if name not in head.params:
            faults.report(f"params.{name}", f"no such parameter; {suggestion(name, head.params)}")


def check_all_are_read(head: Spec, written: Sequence[Mapping[str, Any]], faults: Faults) -> None:
    """Report parameters that no node reads; `written`: the nodes as the spec has them, and with a request's keys."""
    read = {name.removeprefix("params.") for nodes in written for name in references(nodes)}
    read = read.union(*map(_params_in_conditions, written))
    for name in head.params:
        if name not in read:
            faults.report(f"params.{name}", f"no node reads this parameter; write ${{params.{name}}} or remove it")


def with_parameters(nodes: JudgedNodes, params: Mapping[str, Any], faults: Faults) -> JudgedNodes:
    """Return the nodes with the parameters' values in their configs and matrices."""
    return {name: _with_parameters(node, params, faults) for name, node in nodes.items()}


def _with_parameters(judged: JudgedNode, params: Mapping[str, Any], faults: Faults) -> JudgedNode:
    written = {"config": judged.node.config, "matrix": judged.node.matrix}
    for key, value in written.items():
        _check_references(f"nodes.{judged.name}.{key}", value, params, faults)
    for found in sorted(references(judged.node.when.model_dump() if judged.node.when else None)):
        message = f"${{{found}}}: nothing is substituted in a condition; name it as `param`"
        faults.report(f"nodes.{judged.name}.when", message)
    try:
        values = {key: substitute(value, params) for key, value in written.items()}
    except KeyError:
        return judged
    return replace(judged, node=judged.node.model_copy(update=values))


def _check_references(path: str, value: Any, params: Mapping[str, Any], faults: Faults) -> None:
    for found in sorted(references(value)):
        if not found.startswith("params."):
            faults.report(path, f"${{{found}}}: only ${{params.<name>}} can be substituted")
        elif found.removeprefix("params.") not in params:
            faults.report(path, f"${{{found}}}: {suggestion(found.removeprefix('params.'), params)}")
    for found in sorted(within_texts(value)):
        if params.get(found.removeprefix("params."), "") is None:
            faults.report(found, f"is null, and stands within a text ({path}): give it a value")


def _params_in_conditions(nodes: Mapping[str, Any]) -> set[str]:
    conditions = (node.get("when") for node in nodes.values() if isinstance(node, Mapping))
    return {str(when["param"]) for when in conditions if isinstance(when, Mapping) and "param" in when}
