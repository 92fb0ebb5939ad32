"""What the judge knows of one node, more with every pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from agents import AgentEntry
from agents.base.agent import Agent
from agents.base.records import Config
from pipelines.spec import Node

AgentType = type[Agent[Any, Any]]


@dataclass(frozen=True)
class JudgedNode:
    """One node; after the fan-out one variant of it."""

    name: str
    node: Node
    """With parameters and matrix values in their places."""
    written_config: Mapping[str, Any] = field(default_factory=dict)
    """As it stands in the spec."""
    entry: AgentEntry | None = None
    agent: AgentType | None = None
    """None: there is no such agent, which was reported."""
    config: Config | None = None
    """None: it is not one for this agent, which was reported."""

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The node's agent, and the one that it stands for."""
        stands_for = self.agent.stands_for if self.agent else None
        return frozenset({self.node.agent, stands_for or self.node.agent})


JudgedNodes = dict[str, JudgedNode]
