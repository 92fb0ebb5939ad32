"""Values of a request for keys that the spec makes no parameter of: `training.lora.r` is `lora.r` of `training`, and
`text_column` that of the only node which has such a key.
"""

from collections.abc import Collection, Mapping
from typing import Any

from agents import AgentEntry, load_agent
from agents.base.errors import InvalidSpec
from pipelines.judge.faults import Faults
from pipelines.judge.shape import written_nodes
from pipelines.params import with_values
from pipelines.wording import suggestion


def with_overrides(spec: Any, overrides: Mapping[str, Any], agents: Mapping[str, AgentEntry], faults: Faults) -> Any:
    """Return the spec with a parameter in place of each such key, so that its value is told, blamed and retried as any
    parameter's is; what names no node is reported."""
    nodes = written_nodes(spec)
    params = spec.get("params") if isinstance(spec, Mapping) else None
    known = params if isinstance(params, Mapping) else {}
    wanted = [name for name in overrides if name not in known]
    if not wanted or not nodes or not (params is None or isinstance(params, Mapping)):
        return spec
    found, reached = dict(nodes), []
    for name in wanted:
        node, _, key = name.partition(".") if "." in name else (_holder(name, nodes, agents), "", name)
        if node is None:
            # The judge reports it with the parameters that there are.
            continue
        if not isinstance(found.get(node), Mapping):
            faults.report(f"params.{name}", f"no node '{node}'; {suggestion(node, nodes)}")
            faults.close()
            continue
        reached.append(name)
        config = found[node].get("config") or {}
        if isinstance(config, Mapping):
            found[node] = {**found[node], "config": with_values(config, {key: f"${{params.{name}}}"})}
    return {**spec, "params": {**known, **dict.fromkeys(reached)}, "nodes": found}


def _holder(key: str, nodes: Mapping[str, Any], agents: Mapping[str, AgentEntry]) -> str | None:
    """Return the node whose config may have a key; None where none or several may."""
    found = [name for name, node in nodes.items() if key in _keys(node, agents)]
    return found[0] if len(found) == 1 else None


def _keys(node: Any, agents: Mapping[str, AgentEntry]) -> Collection[str]:
    entry = agents.get(str(node.get("agent"))) if isinstance(node, Mapping) else None
    try:
        return load_agent(entry.path).config_type.model_fields if entry else ()
    except InvalidSpec:
        return ()


__all__ = ["with_overrides"]
