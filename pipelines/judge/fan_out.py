"""Third pass: a node with a matrix becomes a node for each combination of its values."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.judge.faults import Faults
from pipelines.judge.judged_node import JudgedNode, JudgedNodes
from pipelines.params import combinations, variant_name, with_values
from pipelines.wording import shown

Matrices = Mapping[str, Mapping[str, list[Any]]]


def sound_matrices(nodes: JudgedNodes, faults: Faults) -> Matrices:
    """Return each node's matrix as it can be fanned out, empty where it has none; the rest is reported."""
    return {name: _sound_matrix(node, faults) for name, node in nodes.items()}


def fanned_out(nodes: JudgedNodes, matrices: Matrices) -> JudgedNodes:
    """Return the nodes with all variants in place of those with a matrix; who needs one of these needs them all."""
    variants = {name: _variants(node, matrices[name]) for name, node in nodes.items()}
    names = {name: list(found) for name, found in variants.items()}
    return {
        variant: _with_needs(
            judged, [other for need in dict.fromkeys(judged.node.needs) for other in names.get(need, [need])]
        )
        for found in variants.values()
        for variant, judged in found.items()
    }


def _variants(judged: JudgedNode, matrix: Mapping[str, list[Any]]) -> JudgedNodes:
    if not matrix:
        return {judged.name: judged}
    return {
        name: replace(
            judged,
            name=name,
            node=judged.node.model_copy(update={"config": with_values(judged.node.config, values)}),
        )
        for name, values in _names(judged.name, matrix).items()
    }


def _sound_matrix(judged: JudgedNode, faults: Faults) -> dict[str, list[Any]]:
    """Return a node's matrix as it can be fanned out; the rest is reported."""
    found = {}
    for key, values in (judged.node.matrix or {}).items():
        path = f"nodes.{judged.name}.matrix.{key}"
        if not isinstance(values, list) or not values:
            faults.report(path, f"needs a list of at least one value, got {shown(values)}")
        elif wrong := [value for value in values if isinstance(value, list | dict)]:
            faults.report(path, f"a value is text, a number, true, false or null, got {shown(wrong[0])}")
        else:
            found[key] = values
    return found


def _names(node: str, matrix: Mapping[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Return a name for each combination of a matrix, equal ones once; values are quoted where names would meet."""
    wanted = {json.dumps(list(values.values())): values for values in combinations(matrix)}
    names = {variant_name(node, values): values for values in wanted.values()}
    if len(names) == len(wanted):
        return names
    return {variant_name(node, values, quoted=True): values for values in wanted.values()}


def _with_needs(judged: JudgedNode, needs: list[str]) -> JudgedNode:
    return replace(judged, node=judged.node.model_copy(update={"needs": needs}))
