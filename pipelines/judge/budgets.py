"""How much a spec asks for, told before it is made: configs with their parameters, nodes of a matrix, and an operator's
caps.
"""

from collections.abc import Mapping
from typing import Any

from agents.base.budgets import SPEC
from pipelines.caps import Caps, setting
from pipelines.judge.faults import Faults
from pipelines.judge.judged_node import JudgedNodes
from pipelines.weights import ENDLESS, NOTHING, Scales, Weight, fan_of

Matrices = Mapping[str, Mapping[str, list[Any]]]
RAISE = "the operator may raise {}"


def fits_with_parameters(nodes: JudgedNodes, params: Mapping[str, Any], faults: Faults) -> bool:
    """Say whether the configs and matrices of all nodes may have their parameters put in; report where not."""
    scales, whole = Scales(params), NOTHING
    for name, judged in nodes.items():
        whole = whole.plus(scales.weight(judged.node.config)).plus(scales.weight(judged.node.matrix or {}))
        if not _fits(whole):
            faults.report(f"nodes.{name}.config", f"with its parameters in place {_too_much(whole)}")
            return False
    return True


def fits_fanned_out(nodes: JudgedNodes, matrices: Matrices, caps: Caps, faults: Faults) -> bool:
    """Say whether the nodes may be fanned out by these matrices; report where not. Multiplies, and makes none."""
    scales = Scales({})
    fans = {name: fan_of(name, scales.weight(judged.node.config), matrices[name]) for name, judged in nodes.items()}
    count, needs, whole = 0, 0, NOTHING
    for name, fan in fans.items():
        wanted = [fans[need] for need in dict.fromkeys(nodes[name].node.needs) if need in fans]
        count += fan.variants
        needs += fan.variants * sum(need.variants for need in wanted)
        # A name stands at its node, and at each that needs it or is needed by it.
        names = fan.name_characters + 2 * fan.variants * sum(need.name_characters for need in wanted)
        whole = whole.plus(fan.config).plus(Weight(0, 0, names))
        if fault := _too_many(count, needs, caps) or (
            None if _fits(whole) else f"with its variants {_too_much(whole)}"
        ):
            faults.report(f"nodes.{name}" + (".matrix" if nodes[name].node.matrix else ""), fault)
            return False
    return True


def _too_many(count: int, needs: int, caps: Caps) -> str | None:
    if count > caps.job_nodes_most:
        return (
            f"makes {_figure(count)} nodes with those before it, a job has at most {caps.job_nodes_most:,}; leave "
            f"values of the matrix out, or submit several jobs; {RAISE.format(setting('job_nodes_most'))}"
        )
    if needs > SPEC.needs:
        return (
            f"makes {_figure(needs)} needs between nodes, at most {SPEC.needs:,} are allowed; put a node between those "
            "that are needed and those that need them"
        )
    return None


def check_caps(nodes: JudgedNodes, caps: Caps, faults: Faults) -> None:
    """Report nodes that ask for more than the operator lets them."""
    cost_usd = 0.0
    for name, judged in nodes.items():
        path, node = f"nodes.{name}", judged.node
        if node.retries > caps.node_retries_most:
            faults.report(f"{path}.retries", _above(node.retries, caps.node_retries_most, "", "node_retries_most"))
        if node.timeout > caps.node_timeout_s_most:
            faults.report(
                f"{path}.timeout", _above(node.timeout, caps.node_timeout_s_most, " s", "node_timeout_s_most")
            )
        if judged.agent is not None and judged.config is not None:
            asked_usd = judged.agent.cost_usd_most(judged.config)
            cost_usd += asked_usd
            if asked_usd and cost_usd > caps.job_cost_usd_most:
                asked = f"this node and those before it may cost {cost_usd:,.2f} USD together"
                cure = f"lower it, or {RAISE.format(setting('job_cost_usd_most'))}"
                faults.report(f"{path}.config", f"{asked}, a job at most {caps.job_cost_usd_most:,.2f}; {cure}")
                return


def _above(asked: float, most: float, unit: str, cap: str) -> str:
    return f"{asked:,}{unit} is more than {most:,}{unit}, the most here; lower it, or {RAISE.format(setting(cap))}"


def _fits(weight: Weight) -> bool:
    return weight.values <= SPEC.config_values and weight.characters <= SPEC.config_characters


def _too_much(weight: Weight) -> str:
    return (
        f"the nodes have {_figure(weight.values)} values of {_figure(weight.characters)} characters with their paths "
        f"and names, at most {SPEC.config_values:,} of {SPEC.config_characters:,} are allowed; shorten them, "
        "or name a file"
    )


def _figure(number: int) -> str:
    return f"{number:,}" if number < ENDLESS else f"more than {ENDLESS:,}"
