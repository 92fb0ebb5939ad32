"""First pass: keys and types, of the spec and of each node by itself, so that one bad node hides no other."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pipelines.judge.faults import Faults
from pipelines.judge.judged_node import JudgedNode, JudgedNodes
from pipelines.spec import NODE_NAME, Node, Spec


def read_head(spec: Any, faults: Faults) -> Spec | None:
    """Return the spec without its nodes; None where it has a fault."""
    if not isinstance(spec, Mapping):
        faults.report("", "a spec is a mapping with name, params and nodes")
        return None
    nodes = written_nodes(spec)
    try:
        return Spec.model_validate({**spec, "nodes": {"placeholder": {"agent": "any"}}} if nodes else spec)
    except ValidationError as error:
        faults.report_validation("", error, Spec.model_fields)
        return None


def read_nodes(spec: Any, faults: Faults) -> JudgedNodes:
    """Return the nodes that have the right keys and types."""
    nodes = {}
    for name, written in written_nodes(spec).items():
        if not NODE_NAME.fullmatch(name):
            faults.report(f"nodes.{name}", "a name has small letters, digits, - and _, at most 63")
        try:
            node = Node.model_validate(written)
            nodes[name] = JudgedNode(name, node, node.config)
        except ValidationError as error:
            faults.report_validation(f"nodes.{name}", error, Node.model_fields)
    return nodes


def written_nodes(spec: Any) -> Mapping[str, Any]:
    """Return the nodes as they are written; none where there is no mapping of them."""
    nodes = spec.get("nodes") if isinstance(spec, Mapping) else None
    return nodes if isinstance(nodes, Mapping) else {}
