"""Fifth pass: each node's agent, its config, and what stands before it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import ValidationError

from agents import AgentEntry, load_agent
from agents.base.errors import InvalidSpec
from pipelines.graph import Graph
from pipelines.judge.faults import Faults
from pipelines.judge.judged_node import AgentType, JudgedNode, JudgedNodes
from pipelines.wording import suggestion

#: Names of nodes that a fault lists before it says that there are more.
LISTED_MOST = 4


def with_agents(nodes: JudgedNodes, agents: Mapping[str, AgentEntry], faults: Faults) -> JudgedNodes:
    """Return the nodes with their agents and checked configs, where they have them."""
    return {name: _with_config(_with_agent(judged, agents, faults), faults) for name, judged in nodes.items()}


def _with_agent(judged: JudgedNode, agents: Mapping[str, AgentEntry], faults: Faults) -> JudgedNode:
    wanted, path = judged.node.agent, f"nodes.{judged.name}.agent"
    if wanted not in agents:
        known = [name for name, entry in agents.items() if entry.started_by is None]
        faults.report(path, f"no agent '{wanted}'; {suggestion(wanted, known)}")
        return judged
    if route := agents[wanted].started_by:
        faults.report(path, f"agent '{wanted}' can't be named in a spec: {route} starts it; leave the node out")
        return judged
    try:
        return replace(judged, entry=agents[wanted], agent=load_agent(agents[wanted].path))
    except InvalidSpec as fault:
        faults.report(path, str(fault))
        return judged


def _with_config(judged: JudgedNode, faults: Faults) -> JudgedNode:
    if judged.agent is None:
        return judged
    config_type = judged.agent.config_type
    try:
        return replace(judged, config=judged.agent.parse_config(judged.node.config))
    except ValidationError as error:
        faults.report_validation(f"nodes.{judged.name}.config", error, config_type.model_fields, judged.written_config)
        return judged


def check_upstream(nodes: JudgedNodes, graph: Graph, faults: Faults) -> None:
    """Report agents that lack one before them, have several where they use one, or refuse a config before theirs.

    `nodes` are in topological order.
    """
    several: set[tuple[str, ...]] = set()
    for name, judged in nodes.items():
        if judged.agent is None or judged.config is None:
            continue
        before = {other: nodes[other] for other in graph.ancestors(name)}
        present = {kind for other in before.values() for kind in other.kinds}
        for wanted in judged.agent.consumes:
            if wanted not in present:
                faults.report(f"nodes.{name}.needs", f"agent '{judged.node.agent}' needs a '{wanted}' node before it")
        for kind, found in _several(judged.agent, before):
            if (kind, *found) not in several:
                several.add((kind, *found))
                faults.report(f"nodes.{name}.needs", _takes_one(judged.node.agent, kind, found))
        configs = {other: found.config for other, found in before.items() if found.config is not None}
        for message in judged.agent.check(judged.config, configs):
            faults.report(f"nodes.{name}.config", message)


def _several(agent: AgentType, before: JudgedNodes) -> Iterator[tuple[str, list[str]]]:
    """Yield kinds of which an agent would use the last node and say nothing of the others, with these nodes."""
    for kind in agent.consumes_one:
        found = [name for name, other in before.items() if kind in other.kinds]
        if len(found) > 1:
            yield kind, found


def _takes_one(agent: str, kind: str, found: list[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in found[:LISTED_MOST]) + (" ..." if len(found) > LISTED_MOST else "")
    cure = "for rows of several files name their folder" if kind == "dataset" else "write what follows for each"
    return f"agent '{agent}' takes one '{kind}' node, {len(found)} are before it: {listed}; {cure}"
