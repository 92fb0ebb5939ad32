"""The graph of a spec: cycles, order, who needs whom. Pure; the algorithms are networkx's."""

from collections.abc import Iterable, Mapping
from functools import cached_property

import networkx as nx


class Graph:
    """A directed graph from needed nodes to the nodes that need them."""

    def __init__(self, needs: Mapping[str, Iterable[str]]) -> None:
        self._graph: nx.DiGraph = nx.DiGraph()
        self._graph.add_nodes_from(needs)
        self._graph.add_edges_from((need, name) for name, found in needs.items() for need in found if need in needs)

    def cycles(self) -> list[list[str]]:
        """Return each cycle as the nodes along it, the first one repeated at the end."""
        found = []
        for component in nx.strongly_connected_components(self._graph):
            start = min(component)
            if len(component) > 1 or self._graph.has_edge(start, start):
                edges = nx.find_cycle(self._graph.subgraph(component), start)
                found.append([edges[0][0], *(edge[1] for edge in edges)])
        return sorted(found)

    def order(self) -> list[str]:
        """Return the nodes in topological order; equals keep the order they were written in."""
        place = {name: number for number, name in enumerate(self._graph)}
        return list(nx.lexicographical_topological_sort(self._graph, key=place.__getitem__))

    def children(self, name: str) -> list[str]:
        return list(self._graph.successors(name))

    def ancestors(self, name: str) -> frozenset[str]:
        """Return all nodes that must run before `name`."""
        return self._all_ancestors[name]

    @cached_property
    def _all_ancestors(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for name in nx.topological_sort(self._graph):
            needed = list(self._graph.predecessors(name))
            found[name] = frozenset(needed).union(*(found[need] for need in needed))
        return found
