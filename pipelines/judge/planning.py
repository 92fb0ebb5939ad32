"""Last pass: a plan of what was found sound."""

from collections.abc import Mapping
from typing import Any

from pipelines.graph import Graph
from pipelines.judge.judged_node import AgentType, JudgedNode, JudgedNodes
from pipelines.judge.model_names import data_node
from pipelines.params import value_sources
from pipelines.plan import Plan, PlannedNode
from pipelines.spec import Spec


def plan_of(
    head: Spec, nodes: JudgedNodes, graph: Graph, params: Mapping[str, Any], overrides: Mapping[str, Any]
) -> Plan:
    """Return the plan of nodes without a fault, which are in topological order."""
    return Plan(
        name=head.name,
        description=head.description,
        params=dict(params),
        param_sources={name: "request" if name in overrides else "spec" for name in params},
        nodes={name: _planned(number, nodes[name], nodes, graph, params) for number, name in enumerate(nodes)},
    )


def _planned(
    number: int, judged: JudgedNode, nodes: JudgedNodes, graph: Graph, params: Mapping[str, Any]
) -> PlannedNode:
    node, agent, entry = judged.node, judged.agent, judged.entry
    assert agent is not None
    assert entry is not None
    config, sources = _config(judged, nodes, graph)
    return PlannedNode(
        name=judged.name,
        number=number,
        agent=node.agent,
        stands_for=agent.stands_for,
        queue=node.queue or entry.queue,
        needs=tuple(dict.fromkeys(node.needs)),
        children=tuple(graph.children(judged.name)),
        inputs=_inputs(judged, agent, nodes, graph),
        config=config,
        sources=sources,
        retries=node.retries,
        timeout_s=node.timeout,
        when=node.when,
        when_value=params.get(node.when.param) if node.when and node.when.param else None,
        cache=node.cache and agent.cacheable,
        reads_champion=agent.reads_champion,
        makes_version=agent.makes_version,
    )


def _inputs(judged: JudgedNode, agent: AgentType, nodes: JudgedNodes, graph: Graph) -> tuple[str, ...]:
    """Return the nodes whose outputs an agent gets: of the agents it names, or else what its node needs."""
    wanted = {*agent.consumes, *agent.consumes_if_present}
    if not wanted:
        return tuple(dict.fromkeys(judged.node.needs))
    return tuple(name for name in graph.ancestors(judged.name) if wanted & nodes[name].kinds)


def _config(judged: JudgedNode, nodes: JudgedNodes, graph: Graph) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a node's config with all defaults, and where each value comes from."""
    assert judged.config is not None
    config = judged.config.model_dump(mode="json")
    sources = {**value_sources(judged.written_config, config), **dict.fromkeys(judged.node.matrix or (), "matrix")}
    if named_by := data_node(judged, nodes, graph):
        sources["model_name"] = f"nodes.{named_by.name}"
    if judged.agent and judged.agent.reads_champion and not config.get("model_name"):
        after = [nodes[name] for name in graph.descendants(judged.name)]
        if writer := _writer(after):
            config["model_name"] = getattr(writer.config, "model_name", None)
            sources["model_name"] = f"nodes.{writer.name}"
    return config, sources


def _writer(after: list[JudgedNode]) -> JudgedNode | None:
    """Return the node, of those after one that judges, that names the model whose version it writes; None where there
    is none, or they name several."""
    writers = [node for node in after if node.agent and node.agent.makes_version]
    names = {getattr(node.config, "model_name", None) for node in writers}
    return writers[0] if len(names) == 1 and None not in names else None
