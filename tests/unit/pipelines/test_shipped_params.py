"""Shipped specs take anybody's rows: their parameters are left out where null, and blamed where wrong."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents import AGENTS
from agents.base.errors import InvalidSpec
from agents.base.source_uri import name_after
from pipelines import shipped_specs
from pipelines.judge import judge
from pipelines.plan import Plan
from pipelines.spec import NAME_PATTERN

OF_ANY_ROWS = {
    "format": "csv",
    "encoding": "cp1251",
    "text_column": "Question",
    "label_column": "Answer",
    "label_map": {"1": "yes", "0": "no"},
    "model_name": "mine",
    "minimum": 0.25,
}


def shipped(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(shipped_specs()[name].read_text(encoding="utf-8"))
    return found


def faults(spec: dict[str, Any], params: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as caught:
        judge(spec, params, AGENTS)
    return {detail["path"]: detail["message"] for detail in caught.value.details}


def config(plan: Plan, agent: str) -> dict[str, Any]:
    return next(node.config for node in plan.nodes.values() if node.agent == agent)


@pytest.mark.parametrize("name", shipped_specs())
def test_every_shipped_spec_takes_what_rows_of_any_kind_need(name: str) -> None:
    known = shipped(name)["params"]
    # Plain text has no labels.
    missing = OF_ANY_ROWS.keys() - known.keys()
    assert missing <= ({"label_column", "label_map"} if name == "pretraining" else set())
    assert {"shape", "part"} <= known.keys()
    plan = judge(shipped(name), {key: value for key, value in OF_ANY_ROWS.items() if key in known}, AGENTS)
    read, minimum = config(plan, "dataset"), config(plan, "evaluation")["minimum"]

    given = {key: read[key] for key in OF_ANY_ROWS if key in read and key not in missing}
    assert given | dict.fromkeys(missing) | {"minimum": minimum, "model_name": "mine"} == (
        OF_ANY_ROWS | dict.fromkeys(missing)
    )
    assert config(plan, "export")["model_name"] == config(plan, "evaluation")["model_name"] == "mine"


@pytest.mark.parametrize("name", shipped_specs())
def test_a_null_parameter_leaves_its_key_out(name: str) -> None:
    nulls = dict.fromkeys(key for key in [*OF_ANY_ROWS, "epochs", "shape"] if key in shipped(name)["params"])
    plan = judge(shipped(name), nulls, AGENTS)
    dataset = plan.nodes["dataset"]

    assert [
        dataset.config[key] for key in dataset.config if key in OF_ANY_ROWS if dataset.config[key] is not None
    ] == []
    assert config(plan, "evaluation")["minimum"] == 0.85
    assert dataset.sources["text_column"] == "params.text_column"


@pytest.mark.parametrize(
    ("params", "path", "said"),
    [
        ({"epochs": "three"}, "params.epochs", "nodes.training.config.epochs"),
        ({"minimum": 2}, "params.minimum", "less than or equal to 1"),
        ({"text_column": 3}, "params.text_column", "in quotes: '\"3\"'"),
        ({"label_column": True}, "params.label_column", "in quotes: '\"true\"'"),
        ({"shape": "alpacca"}, "params.shape", "nodes.dataset.config.shape"),
        ({"model_name": "My Model"}, "params.model_name", "My Model"),
        ({"data": None}, "params.data", "is null, and nodes.dataset.config.source has no default"),
        ({"model": ""}, "params.model", "names nothing"),
    ],
)
def test_a_wrong_value_is_blamed_on_the_parameter_that_has_it(params: dict[str, Any], path: str, said: str) -> None:
    found = faults(shipped("spam"), params)

    assert set(found) == {path}
    assert said in found[path]


def test_blame_reaches_into_nested_keys_and_lists_and_no_further() -> None:
    spec = shipped("spam")
    spec["params"] |= {"r": 8, "floor": 0.5, "module": "query"}
    training, evaluation = (spec["nodes"][name]["config"] for name in ("training", "evaluation"))
    training["lora"] = {"r": "${params.r}", "alpha": "wide", "target_modules": ["key", "${params.module}"]}
    evaluation["recall_floors"] = {"spam": "${params.floor}"}
    found = faults(spec, {"r": "big", "floor": "low", "module": 5})

    assert {"params.r", "params.floor", "params.module", "nodes.training.config.lora.alpha"} <= set(found)
    assert not {path for path in found if path.startswith("nodes.") and "alpha" not in path and "literal" not in path}


def test_every_key_of_a_config_can_be_given_by_its_node() -> None:
    given = {"preprocessing.dedup": "exact", "training.lora.r": 4, "validation.pii": "mask", "epochs": 2}
    plan = judge(shipped("spam"), given, AGENTS)
    training = plan.nodes["training"]

    assert (plan.nodes["preprocessing"].config["dedup"], plan.nodes["validation"].config["pii"]) == ("exact", "mask")
    assert training.config["lora"] == {**training.config["lora"], "r": 4, "alpha": 16}
    assert training.sources["lora.r"] == "params.training.lora.r"
    assert plan.param_sources["training.lora.r"] == "request"
    assert plan.spec == shipped("spam")
    found = faults(shipped("spam"), {"trainin.epochs": 1, "training.epocs": 1, "training.lora.r": "big"})
    assert found["params.trainin.epochs"] == "no node 'trainin'; did you mean 'training'?"
    assert "did you mean 'epochs'?" in found["nodes.training.config.epocs"]
    assert "valid integer" in found["params.training.lora.r"]


def test_a_key_that_one_node_alone_has_needs_no_parameter() -> None:
    spec = {"name": "own", "nodes": shipped("spam")["nodes"]}
    for name in ("dataset", "validation", "preprocessing", "training", "evaluation", "export"):
        spec["nodes"][name]["config"] = {
            key: value for key, value in spec["nodes"][name]["config"].items() if not str(value).startswith("${")
        }
    given = {"source": "a.csv", "text_column": "wording", "training.model": "m", "preprocessing.model": "m"}
    plan = judge(spec, given | {"epochs": 2, "export.model_name": "mine"}, AGENTS)

    assert plan.nodes["dataset"].config["text_column"] == "wording"
    assert (plan.nodes["training"].config["epochs"], plan.nodes["evaluation"].config["model_name"]) == (2, "mine")
    # Several nodes have a model.
    assert "no such parameter" in faults(spec, given | {"model": "n"})["params.model"]


def test_null_has_no_text() -> None:
    spec = shipped("spam")
    spec["nodes"]["dataset"]["config"]["source"] = "rows/${params.text_column}.csv"
    del spec["params"]["data"]

    assert "stands within a text" in faults(spec, {})["params.text_column"]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("package://pipelines/data/spam.jsonl", "spam"),
        ("tickets.csv", "tickets"),
        ("folder/of mine/Kunden Anfragen 2024.xlsx", "kunden-anfragen-2024"),
        ("exports/reviews.jsonl.gz", "reviews"),
        ("hf://stanfordnlp/imdb@refs/main", "imdb"),
        ("s3://bucket/a/b/mails.v2.parquet", "mails-v2"),
        ("rows/tickets/", "tickets"),
        ("C:\\rows\\tickets.tsv", "tickets"),
        ("café_menu.txt", "cafe_menu"),
    ],
)
def test_a_model_is_called_by_its_data_in_shipped_specs(data: str, name: str) -> None:
    plan = judge(shipped("spam"), {"data": data}, AGENTS)

    assert config(plan, "export")["model_name"] == config(plan, "evaluation")["model_name"] == name
    assert plan.nodes["export"].sources["model_name"] == "nodes.dataset"


def test_data_without_a_name_of_its_own_meets_no_other_model() -> None:
    names = {
        str(config(judge(shipped("spam"), {"data": data}, AGENTS), "export")["model_name"])
        for data in ("dataset://0123456789abcdef", "dataset://f123456789abcdef", "отзывы.csv", "评论.csv", "___.csv")
    }

    assert len(names) == 5
    assert all(re.fullmatch(r"spam-[0-9a-f]{8}", name) for name in names)


def test_a_spec_that_asks_for_nothing_keeps_the_pipelines_name() -> None:
    spec = shipped("spam")
    del spec["nodes"]["export"]["config"]["named_after"]

    assert config(judge(spec, {"data": "tickets.csv"}, AGENTS), "export")["model_name"] is None


@given(st.text(min_size=1, max_size=90).filter(lambda text: text.strip() not in {"", ".", "./"}))
def test_every_source_gives_a_name_that_models_may_have(uri: str) -> None:
    assert re.fullmatch(NAME_PATTERN, name_after(uri, otherwise="p" * 63))
