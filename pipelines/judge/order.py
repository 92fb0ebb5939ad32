"""Fourth pass: the graph of needs."""

from collections.abc import Collection

from pipelines.graph import Graph
from pipelines.judge.faults import Faults
from pipelines.judge.judged_node import JudgedNodes
from pipelines.wording import suggestion


def graph_of(nodes: JudgedNodes, written: Collection[str], faults: Faults) -> Graph | None:
    """Return the graph of the nodes; None where a need doesn't exist or nodes need each other.

    `written` are the names of all nodes of the spec, also of those that an earlier pass has refused.
    """
    known = {*nodes, *written}
    missing = [
        (name, place, need)
        for name, judged in nodes.items()
        for place, need in enumerate(judged.node.needs)
        if need not in known
    ]
    for name, place, need in missing:
        faults.report(f"nodes.{name}.needs[{place}]", f"no node '{need}'; {suggestion(need, known)}")
    graph = Graph({name: judged.node.needs for name, judged in nodes.items()})
    cycles = graph.cycles()
    for cycle in cycles:
        faults.report(f"nodes.{cycle[0]}.needs", f"a cycle: {' -> '.join(cycle)}; remove one of these needs")
    return None if missing or cycles else graph
