"""A plan: a judged spec with every value resolved. Immutable for the whole life of its job."""

from functools import cached_property
from typing import Any

from agents.base.records import Record
from pipelines.spec import When


class PlannedNode(Record):
    """A node as the engine runs it."""

    name: str
    number: int
    """Place in the plan, from 0; names the node in keys, ids and paths."""
    agent: str
    stands_for: str | None = None
    """The agent whose place it takes for the nodes after it."""
    queue: str
    needs: tuple[str, ...]
    children: tuple[str, ...]
    inputs: tuple[str, ...]
    """Nodes whose outputs the agent gets, in topological order."""
    config: dict[str, Any]
    sources: dict[str, str]
    """Dotted config key -> `spec`, `params.<name>`, `matrix`, `default`, or `nodes.<name>`: what that node's says."""
    retries: int
    timeout_s: float
    when: When | None
    when_value: Any = None
    """The parameter's value where `when` names a parameter."""
    cache: bool
    reads_champion: bool
    makes_version: bool


class Plan(Record):
    """A job's graph. `nodes` is in topological order."""

    name: str
    description: str
    params: dict[str, Any]
    param_sources: dict[str, str]
    """Parameter -> `spec` or `request`."""
    nodes: dict[str, PlannedNode]
    spec: dict[str, Any] | None = None
    """As it was submitted, for a retry with other values; None: by a release that did not keep it."""

    @cached_property
    def most_ready(self) -> int:
        """A number of nodes that at most are ready at once: each that ends makes its children ready."""
        roots = sum(not node.needs for node in self.nodes.values())
        return roots + sum(max(0, len(node.children) - 1) for node in self.nodes.values())

    def descendants(self, name: str) -> list[str]:
        """Return all nodes that need `name`, directly or not, in topological order."""
        found: set[str] = set()
        for node in self.nodes.values():
            if name in node.needs or not found.isdisjoint(node.needs):
                found.add(node.name)
        return [node for node in self.nodes if node in found]
