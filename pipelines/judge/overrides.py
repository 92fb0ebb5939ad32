"""Values of a request for keys that the spec makes no parameter of: `training.lora.r` is `lora.r` of `training`."""

from collections.abc import Mapping
from typing import Any

from pipelines.judge.faults import Faults
from pipelines.judge.shape import written_nodes
from pipelines.params import with_values
from pipelines.wording import suggestion


def with_overrides(spec: Any, overrides: Mapping[str, Any], faults: Faults) -> Any:
    """Return the spec with a parameter in place of each such key, so that its value is told, blamed and retried as any
    parameter's is; what names no node is reported."""
    nodes = written_nodes(spec)
    params = spec.get("params") if isinstance(spec, Mapping) else None
    known = params if isinstance(params, Mapping) else {}
    wanted = [name for name in overrides if "." in name and name not in known]
    if not wanted or not nodes or not (params is None or isinstance(params, Mapping)):
        return spec
    found, reached = dict(nodes), []
    for name in wanted:
        node, _, key = name.partition(".")
        if not isinstance(found.get(node), Mapping):
            faults.report(f"params.{name}", f"no node '{node}'; {suggestion(node, nodes)}")
            faults.close()
            continue
        reached.append(name)
        config = found[node].get("config") or {}
        if isinstance(config, Mapping):
            found[node] = {**found[node], "config": with_values(config, {key: f"${{params.{name}}}"})}
    return {**spec, "params": {**known, **dict.fromkeys(reached)}, "nodes": found}


__all__ = ["with_overrides"]
