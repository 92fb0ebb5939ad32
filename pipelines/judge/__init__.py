"""The judge: a whole spec against agents and configs. All faults at once, each with its path."""

from collections.abc import Mapping
from typing import Any

from agents import AgentEntry
from pipelines.caps import Caps
from pipelines.judge.agents import check_upstream, with_agents
from pipelines.judge.budgets import check_caps, fits_fanned_out, fits_with_parameters
from pipelines.judge.conditions import check_conditions
from pipelines.judge.fan_out import fanned_out, sound_matrices
from pipelines.judge.faults import Faults
from pipelines.judge.model_names import with_model_names
from pipelines.judge.order import graph_of
from pipelines.judge.overrides import with_overrides
from pipelines.judge.parameters import check_all_are_read, check_overrides, with_parameters
from pipelines.judge.planning import plan_of
from pipelines.judge.shape import read_head, read_nodes, written_nodes
from pipelines.plain_value import plain_value
from pipelines.plan import Plan


def judge(spec: Any, overrides: Mapping[str, Any], agents: Mapping[str, AgentEntry], caps: Caps | None = None) -> Plan:
    """Return the plan of a spec, with `overrides` in place of its params; `caps`: what the operator lets it ask for.

    Raises:
        InvalidSpec: with every fault found, each `{"path", "message"}`.
    """
    faults = Faults()
    spec, overrides = plain_value(spec, faults.report), plain_value(overrides, faults.report, "params")
    faults.close()
    plan = _plan(spec, overrides, agents, caps or Caps(), faults)
    faults.raise_found()
    assert plan is not None, "whatever has no plan was reported"
    return plan.model_copy(update={"spec": dict(spec)})


def _plan(
    spec: Any, overrides: Mapping[str, Any], agents: Mapping[str, AgentEntry], caps: Caps, faults: Faults
) -> Plan | None:
    """Pass over the spec until nothing more can be found; None where it has a fault."""
    written, spec = written_nodes(spec), with_overrides(spec, overrides, agents, faults)
    nodes, head = read_nodes(spec, faults), read_head(spec, faults)
    params = {**(head.params if head else {}), **overrides}
    if head:
        check_overrides(head, overrides, faults)
        check_all_are_read(head, [written, written_nodes(spec)], faults)
    if not fits_with_parameters(nodes, params, faults):
        return None
    nodes = with_parameters(nodes, params, faults)
    matrices = sound_matrices(nodes, faults)
    if not fits_fanned_out(nodes, matrices, caps, faults):
        return None
    nodes = fanned_out(nodes, matrices)
    graph = graph_of(nodes, written_nodes(spec), faults)
    if head is None or graph is None:
        with_agents(nodes, agents, faults)
        return None
    nodes = with_agents({name: nodes[name] for name in graph.order()}, agents, faults)
    nodes = with_model_names(nodes, graph, head.name)
    check_upstream(nodes, graph, faults)
    check_conditions(nodes, params, graph, faults)
    check_caps(nodes, caps, faults)
    return None if faults.found else plan_of(head, nodes, graph, params, overrides)


__all__ = ["judge"]
