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

    def ancestors(self, name: str) -> list[str]:
        """Return all nodes that must run before `name`, in topological order."""
        return self._named(self._ancestors[name])

    def descendants(self, name: str) -> list[str]:
        """Return all nodes that run only after `name`, in topological order."""
        place = self._places[name]
        return [other for other in self._sorted if self._ancestors[other] >> place & 1]

    def runs_before(self, first: str, second: str) -> bool:
        """Say whether `first` must have run before `second` does."""
        return first in self._places and bool(self._ancestors[second] >> self._places[first] & 1)

    def _named(self, members: int) -> list[str]:
        found = []
        while members:
            lowest = members & -members
            found.append(self._sorted[lowest.bit_length() - 1])
            members ^= lowest
        return found

    @cached_property
    def _sorted(self) -> list[str]:
        return self.order()

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self._sorted)}

    @cached_property
    def _ancestors(self) -> dict[str, int]:
        """Node -> the places of its ancestors, as the bits of a number: sets of names would take gigabytes for a chain
        of some thousand nodes."""
        found: dict[str, int] = {}
        for name in self._sorted:
            members = 0
            for need in self._graph.predecessors(name):
                members |= found[need] | 1 << self._places[need]
            found[name] = members
        return found
