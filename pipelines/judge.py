"""The judge: a whole spec against agents and configs. All faults at once, each with its path."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from agents import AgentEntry, load_agent
from agents.base.contract import Agent, Config
from agents.base.errors import InvalidSpec
from pipelines.graph import Graph
from pipelines.params import combinations, references, substitute, value_sources, variant_name, with_values
from pipelines.plan import Plan, PlannedNode
from pipelines.spec import NODE_NAME, Node, Spec
from pipelines.spec_text import Report, plain_value
from pipelines.wording import shown, suggestion

AgentType = type[Agent[Any, Any]]


def judge(spec: Any, overrides: Mapping[str, Any], agents: Mapping[str, AgentEntry]) -> Plan:
    """Return the plan of a spec, with `overrides` in place of its params.

    Raises:
        InvalidSpec: with every fault found, each `{"path", "message"}`.
    """
    faults: list[dict[str, str]] = []
    refused: set[str] = set()

    def report(path: str, message: str) -> None:
        if path not in refused and {"path": path, "message": message} not in faults:
            faults.append({"path": path, "message": message})

    spec, overrides = plain_value(spec, report), plain_value(overrides, report, "params")
    refused.update(fault["path"] for fault in faults)
    plan = _Judge(agents, report).plan(spec, overrides)
    if faults or plan is None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        listed = "; ".join(f"{fault['path'] or 'spec'}: {fault['message']}" for fault in faults)
        raise InvalidSpec(f"The spec has {count}: {listed}.", details=faults)
    return plan


class _Judge:
    def __init__(self, agents: Mapping[str, AgentEntry], report: Report) -> None:
        self.agents = agents
        self.report = report
        self.several: set[tuple[str, ...]] = set()

    def plan(self, spec: Any, overrides: Mapping[str, Any]) -> Plan | None:
        head, nodes = self._shape(spec)
        params = self._params(head, overrides, spec)
        nodes = self._fan_out({name: self._substituted(name, node, params) for name, node in nodes.items()})
        written_nodes = spec.get("nodes") if isinstance(spec, Mapping) else None
        known = set(nodes) | set(written_nodes if isinstance(written_nodes, Mapping) else ())
        graph = self._graph(nodes, known)
        if head is None or graph is None:
            self._configs(nodes, list(nodes))
            return None
        order = graph.order()
        configs = self._configs(nodes, order)
        self._upstream(nodes, configs, graph, order)
        self._conditions(nodes, params, graph)
        return Plan(
            name=head.name,
            description=head.description,
            params=params,
            param_sources={name: "request" if name in overrides else "spec" for name in params},
            nodes={
                name: self._planned(number, name, nodes, configs, graph, order, params, written_nodes)
                for number, name in enumerate(order)
                if name in configs
            },
        )

    # -- shape ---------------------------------------------------------------------------------

    def _shape(self, spec: Any) -> tuple[Spec | None, dict[str, Node]]:
        """Check keys and types: of the spec, then of each node by itself, so that one bad node hides none."""
        if not isinstance(spec, Mapping):
            self.report("", "a spec is a mapping with name, params and nodes")
            return None, {}
        raw = spec.get("nodes")
        nodes: dict[str, Node] = {}
        for name, written in (raw if isinstance(raw, Mapping) else {}).items():
            if not NODE_NAME.fullmatch(str(name)):
                self.report(f"nodes.{name}", "a name has small letters, digits, - and _, at most 63")
            try:
                nodes[str(name)] = Node.model_validate(written)
            except ValidationError as found:
                self._report_all(f"nodes.{name}", found, Node.model_fields)
        try:
            rest = {**spec, "nodes": {"placeholder": {"agent": "any"}}} if isinstance(raw, Mapping) and raw else spec
            return Spec.model_validate(rest), nodes
        except ValidationError as found:
            self._report_all("", found, Spec.model_fields)
            return None, nodes

    def _report_all(self, prefix: str, found: ValidationError, keys: Iterable[str]) -> None:
        for fault in found.errors():
            path = ".".join(str(part) for part in (prefix, *fault["loc"]) if part != "")
            message = fault["msg"].removeprefix("Value error, ")
            if fault["type"] == "extra_forbidden":
                message = f"unknown key; {suggestion(str(fault['loc'][-1]), keys)}"
            elif fault["type"] == "missing":
                message = "missing; it has no default"
            else:
                message = f"{message[:1].lower()}{message[1:]}, got {shown(fault['input'])}"
            self.report(path, message)

    # -- parameters ----------------------------------------------------------------------------

    def _params(self, head: Spec | None, overrides: Mapping[str, Any], spec: Any) -> dict[str, Any]:
        declared = dict(head.params) if head else {}
        for name in overrides:
            if head and name not in declared:
                self.report(f"params.{name}", f"no such parameter; {suggestion(name, declared)}")
        params = {**declared, **overrides}
        raw = spec.get("nodes", {}) if isinstance(spec, Mapping) else {}
        read = {name.removeprefix("params.") for name in references(raw)} | _params_in_conditions(raw)
        for name in declared:
            if name not in read:
                self.report(f"params.{name}", f"no node reads this parameter; write ${{params.{name}}} or remove it")
        return params

    def _substituted(self, name: str, node: Node, params: Mapping[str, Any]) -> Node:
        written = {"config": node.config, "matrix": node.matrix}
        for key, value in written.items():
            for found in sorted(references(value)):
                if not found.startswith("params."):
                    self.report(f"nodes.{name}.{key}", f"${{{found}}}: only ${{params.<name>}} can be substituted")
                elif found.removeprefix("params.") not in params:
                    self.report(f"nodes.{name}.{key}", f"${{{found}}}: {suggestion(found[7:], params)}")
        for found in sorted(references(node.when.model_dump() if node.when else None)):
            self.report(
                f"nodes.{name}.when", f"${{{found}}}: nothing is substituted in a condition; name it as `param`"
            )
        try:
            return node.model_copy(update={key: substitute(value, params) for key, value in written.items()})
        except KeyError:
            return node

    # -- graph ---------------------------------------------------------------------------------

    def _fan_out(self, nodes: dict[str, Node]) -> dict[str, Node]:
        """Replace each node with a matrix by its variants; who needs it needs all of them."""
        variants: dict[str, dict[str, Node]] = {}
        for name, node in nodes.items():
            matrix = self._matrix(name, node)
            variants[name] = (
                {
                    variant: node.model_copy(update={"config": with_values(node.config, values)})
                    for variant, values in _names(name, matrix).items()
                }
                if matrix
                else {name: node}
            )
        return {
            variant: node.model_copy(
                update={"needs": [v for need in node.needs for v in variants.get(need, {need: 0})]}
            )
            for found in variants.values()
            for variant, node in found.items()
        }

    def _matrix(self, name: str, node: Node) -> dict[str, list[Any]]:
        """Return a node's matrix as it can be fanned out; the rest is reported."""
        found = {}
        for key, values in (node.matrix or {}).items():
            if not isinstance(values, list) or not values:
                self.report(f"nodes.{name}.matrix.{key}", f"needs a list of at least one value, got {shown(values)}")
            elif wrong := [value for value in values if isinstance(value, list | dict)]:
                message = f"a value is text, a number, true, false or null, got {shown(wrong[0])}"
                self.report(f"nodes.{name}.matrix.{key}", message)
            else:
                found[key] = values
        return found

    def _graph(self, nodes: Mapping[str, Node], known: set[str]) -> Graph | None:
        whole = True
        for name, node in nodes.items():
            for place, need in enumerate(node.needs):
                if need not in known:
                    whole = False
                    self.report(f"nodes.{name}.needs[{place}]", f"no node '{need}'; {suggestion(need, known)}")
        graph = Graph({name: node.needs for name, node in nodes.items()})
        rings = graph.rings()
        for ring in rings:
            self.report(f"nodes.{ring[0]}.needs", f"a ring: {' -> '.join(ring)}; remove one of these needs")
        return graph if whole and not rings else None

    # -- agents and configs --------------------------------------------------------------------

    def _configs(self, nodes: Mapping[str, Node], order: Iterable[str]) -> dict[str, Config]:
        configs = {}
        for name in order:
            agent = self._agent(name, nodes[name])
            if agent is None:
                continue
            try:
                configs[name] = agent.config_type.model_validate_json(json.dumps(nodes[name].config))
            except ValidationError as found:
                self._report_all(f"nodes.{name}.config", found, agent.config_type.model_fields)
        return configs

    def _agent(self, name: str, node: Node) -> AgentType | None:
        if node.agent not in self.agents:
            self.report(f"nodes.{name}.agent", f"no agent '{node.agent}'; {suggestion(node.agent, self.agents)}")
            return None
        try:
            return load_agent(self.agents[node.agent].path)
        except InvalidSpec as fault:
            self.report(f"nodes.{name}.agent", str(fault))
            return None

    def _kinds(self, node: Node) -> set[str]:
        """Return the agent of a node, and the one that it stands for."""
        agent = self._known(node)
        return {node.agent, agent.stands_for or node.agent} if agent else {node.agent}

    def _known(self, node: Node) -> AgentType | None:
        """Return a node's agent; None where `_agent` had to report it."""
        try:
            return load_agent(self.agents[node.agent].path)
        except (KeyError, InvalidSpec):
            return None

    def _upstream(
        self, nodes: Mapping[str, Node], configs: Mapping[str, Config], graph: Graph, order: list[str]
    ) -> None:
        for name in configs:
            before = graph.ancestors(name)
            agent = load_agent(self.agents[nodes[name].agent].path)
            present = {kind for other in before for kind in self._kinds(nodes[other])}
            for wanted in agent.consumes:
                if wanted not in present:
                    self.report(f"nodes.{name}.needs", f"agent '{nodes[name].agent}' needs a '{wanted}' node before it")
            self._only_ones(name, agent, [other for other in order if other in before], nodes)
            upstream = {other: configs[other] for other in order if other in before and other in configs}
            for message in agent.check(configs[name], upstream):
                self.report(f"nodes.{name}.config", message)

    def _only_ones(self, name: str, agent: AgentType, before: list[str], nodes: Mapping[str, Node]) -> None:
        """Report several nodes before one that would use the last of them and say nothing of the others."""
        agent_name = nodes[name].agent
        for kind in agent.consumes_one:
            found = [other for other in before if kind in self._kinds(nodes[other])]
            if len(found) > 1 and (kind, *found) not in self.several:
                self.several.add((kind, *found))
                listed = ", ".join(f"'{other}'" for other in found[:4]) + (" ..." if len(found) > 4 else "")
                cure = (
                    "for rows of several files name their folder"
                    if kind == "dataset"
                    else "write what follows for each"
                )
                self.report(
                    f"nodes.{name}.needs",
                    f"agent '{agent_name}' takes one '{kind}' node, {len(found)} are before it: {listed}; {cure}",
                )

    def _conditions(self, nodes: Mapping[str, Node], params: Mapping[str, Any], graph: Graph) -> None:
        for name, node in nodes.items():
            if node.when is None:
                continue
            if node.when.param is not None and node.when.param not in params:
                self.report(f"nodes.{name}.when.param", suggestion(node.when.param, params))
            if node.when.output is not None:
                other, _, field = node.when.output.rpartition(".")
                if not field or other not in graph.ancestors(name):
                    self.report(f"nodes.{name}.when.output", "names node.field of a node that runs before this one")
                elif (found := self._known(nodes[other])) is not None:
                    fields = found.output_type.model_fields
                    if field not in fields:
                        self.report(f"nodes.{name}.when.output", f"'{field}': {suggestion(field, fields)}")

    # -- result --------------------------------------------------------------------------------

    def _planned(
        self,
        number: int,
        name: str,
        nodes: Mapping[str, Node],
        configs: Mapping[str, Config],
        graph: Graph,
        order: list[str],
        params: Mapping[str, Any],
        written: Any,
    ) -> PlannedNode:
        node = nodes[name]
        entry = self.agents[node.agent]
        agent = load_agent(entry.path)
        before = graph.ancestors(name)
        wanted = {*agent.consumes, *agent.consumes_if_present}
        inputs = (other for other in order if wanted and other in before and wanted & self._kinds(nodes[other]))
        config = configs[name].model_dump(mode="json")
        matrix = dict.fromkeys(node.matrix or (), "matrix")
        original = written.get(name.partition("[")[0], {}).get("config", {})
        sources = {**value_sources(original, config), **matrix}
        if agent.reads_champion and not config.get("model_name"):
            after = {other: configs[other] for other in order if other in configs and name in graph.ancestors(other)}
            if writer := self._writer(nodes, after):
                config["model_name"] = getattr(configs[writer], "model_name", None)
                sources["model_name"] = f"nodes.{writer}"
        return PlannedNode(
            name=name,
            number=number,
            agent=node.agent,
            stands_for=agent.stands_for,
            queue=node.queue or entry.queue,
            needs=tuple(dict.fromkeys(node.needs)),
            children=tuple(graph.children(name)),
            inputs=tuple(inputs) if wanted else tuple(dict.fromkeys(node.needs)),
            config=config,
            sources=sources,
            retries=node.retries,
            timeout_s=node.timeout,
            when=node.when,
            when_value=params.get(node.when.param) if node.when and node.when.param else None,
            cache=node.cache and agent.cacheable,
            reads_champion=agent.reads_champion,
            makes_version=agent.makes_version,
        )

    def _writer(self, nodes: Mapping[str, Node], after: Mapping[str, Config]) -> str | None:
        """Return the node, of those after one that judges, that names the model whose version it writes; None where
        there is none, or they name several."""
        writers = [name for name in after if load_agent(self.agents[nodes[name].agent].path).makes_version]
        names = {getattr(after[name], "model_name", None) for name in writers}
        return writers[0] if len(names) == 1 and None not in names else None


def _names(node: str, matrix: Mapping[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Return a name for each combination of a matrix, equal ones once; values are quoted where names would meet."""
    wanted = {json.dumps(list(values.values())): values for values in combinations(matrix)}
    plain_names = {variant_name(node, values): values for values in wanted.values()}
    if len(plain_names) == len(wanted):
        return plain_names
    return {variant_name(node, values, quoted=True): values for values in wanted.values()}


def _params_in_conditions(nodes: Any) -> set[str]:
    if not isinstance(nodes, Mapping):
        return set()
    conditions = (node.get("when") for node in nodes.values() if isinstance(node, Mapping))
    return {str(when["param"]) for when in conditions if isinstance(when, Mapping) and "param" in when}
