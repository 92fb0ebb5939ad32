"""Cures that name a key of a config, told as they are typed for this job: its spec's parameter, or `node.key`."""

import re
from collections.abc import Mapping
from typing import Any

from agents.base.errors import InvalidData, InvalidModel, InvalidSpec
from pipelines.plan import Plan, PlannedNode

#: A key of a config as messages write it.
KEY = re.compile(r"`([a-z][a-z_.]{1,60})`")
PARAM = re.compile(r"params\.([\w.-]+)")
#: Faults that another value may cure.
CURABLE = {kind.code() for kind in (InvalidData, InvalidModel, InvalidSpec)}


def with_params(error: Mapping[str, Any], node: PlannedNode, plan: Plan) -> dict[str, Any]:
    """Return a node's error, with the parameters that set the keys named in its message."""
    if error.get("error") not in CURABLE:
        return dict(error)
    message = str(error.get("message"))
    nodes = (node, *(other for other in plan.nodes.values() if other.name != node.name))
    found = (_param(key, nodes) for key in KEY.findall(message))
    named = [f"`-p {param}=...`" for param in dict.fromkeys(found) if param and not _is_told(param, message)]
    if not named:
        return dict(error)
    return {**error, "message": f"{message} In this job that is {' and '.join(named)}."}


def _is_told(param: str, message: str) -> bool:
    return f"-p {param}=" in message or f"-p '{param}=" in message


def _param(key: str, nodes: tuple[PlannedNode, ...]) -> str | None:
    """Return what sets a key, of the node itself or of the first that has it: a parameter of the spec, or the key
    behind its node's name."""
    for node in nodes:
        if key in node.sources:
            found = PARAM.fullmatch(node.sources[key])
            return found[1] if found else f"{node.name.partition('[')[0]}.{key}"
    return None
