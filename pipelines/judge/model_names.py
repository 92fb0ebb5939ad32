"""Names of models that follow the data: the name of what the rows are read from, where an export asks for it."""

from dataclasses import replace

from agents.base.source_uri import name_after
from pipelines.graph import Graph
from pipelines.judge.judged_node import JudgedNode, JudgedNodes


def with_model_names(nodes: JudgedNodes, graph: Graph, pipeline: str) -> JudgedNodes:
    """Return the nodes, of which those that write a version under the data's name have it in their config."""
    return {name: _with_model_name(judged, nodes, graph, pipeline) for name, judged in nodes.items()}


def data_node(judged: JudgedNode, nodes: JudgedNodes, graph: Graph) -> JudgedNode | None:
    """Return the node whose rows an export's model is named after; None where it has a name of its own, or no rows."""
    if judged.agent is None or not judged.agent.makes_version or judged.node.config.get("model_name") is not None:
        return None
    if getattr(judged.config, "named_after", "pipeline") != "data":
        return None
    before = [nodes[name] for name in graph.ancestors(judged.name)]
    return next((other for other in before if getattr(other.config, "source", None)), None)


def _with_model_name(judged: JudgedNode, nodes: JudgedNodes, graph: Graph, pipeline: str) -> JudgedNode:
    found = data_node(judged, nodes, graph)
    if found is None or judged.config is None:
        return judged
    name = name_after(str(getattr(found.config, "source", "")), otherwise=pipeline)
    return replace(judged, config=judged.config.model_copy(update={"model_name": name}))
