"""What tasks say of themselves, and rows and configs that don't fit them."""

from collections.abc import Mapping
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.base.errors import InvalidData, InvalidSpec
from agents.base.loading import load_object
from agents.data.numbers import read_number, shortest
from agents.data.types import Shape
from agents.dataset.types import DatasetConfig
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.types import PreprocessingConfig
from agents.tasks import TASKS, Task, find_task, task_of_shape
from agents.tasks.shapes import check_shape
from agents.training import TrainingAgent
from agents.training.types import TrainingConfig
from agents.validation import ValidationAgent
from agents.validation.types import ValidationConfig

tasks = pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)


@tasks
def test_every_part_that_a_task_names_is_there(task: Task) -> None:
    for part in (task.preparation, task.objective, task.measure, task.golden, task.pairs):
        assert callable(load_object(part))


@tasks
@pytest.mark.parametrize("shape", get_args(Shape))
def test_rows_that_do_not_fit_are_refused_with_the_task_that_takes_them(task: Task, shape: Shape) -> None:
    if shape in task.shapes:
        check_shape(task, shape, "rows.jsonl")
        return
    with pytest.raises(InvalidData) as refused:
        check_shape(task, shape, "rows.jsonl")
    named = [other for other in TASKS.values() if f"`task: {other.name}`" in refused.value.cure]
    assert all(shape in other.shapes or (other is task and task.read_as) for other in named)
    assert named or shape == "preference"
    assert task.name in refused.value.message


@pytest.mark.parametrize("task", [task for task in TASKS.values() if task.read_as], ids=lambda task: task.name)
def test_naming_the_task_where_rows_are_read_is_a_cure_that_cures(task: Task) -> None:
    with pytest.raises(InvalidData, match=f"name `task: {task.name}` in the dataset node"):
        check_shape(task, "text_label", "rows.csv")
    check_shape(task, DatasetConfig(source="rows.csv", task=task.name).shape or "text_label", "rows.csv")
    assert DatasetConfig(source="rows.csv", task=task.name, shape="messages").shape == "messages"


def test_rows_are_taken_for_the_first_task_that_learns_from_them() -> None:
    found = {shape: task_of_shape(shape) for shape in get_args(Shape)}
    names = {shape: task.name if task else None for shape, task in found.items()}
    assert names.pop("text_label") == "classification"
    assert names.pop("text_labels") == "multi_label"
    assert names.pop("text") == "pretraining"
    assert names.pop("preference") is None
    assert set(names.values()) == {"sft"}


CONFIGS: dict[str, Any] = {
    "dataset": lambda task: DatasetConfig(source="rows.csv", task=task),
    "validation": lambda task: ValidationConfig(task=task),
    "preprocessing": lambda task: PreprocessingConfig(task=task, model="m"),
}


@pytest.mark.parametrize(
    ("agent", "config"),
    [
        (ValidationAgent, ValidationConfig(task="regression")),
        (PreprocessingAgent, PreprocessingConfig(task="regression", model="m")),
        (TrainingAgent, TrainingConfig(task="regression", model="m")),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
@pytest.mark.parametrize("before", CONFIGS)
def test_nodes_that_name_a_task_name_the_same_one(agent: Any, config: Any, before: str) -> None:
    def faults(task: str | None) -> list[str]:
        upstream: Mapping[str, Any] = {"rows": CONFIGS[before](task)}
        found: list[str] = agent.check(config, upstream)
        return found

    assert faults("regression") == []
    assert faults("sft") == ["'task' is regression, but 'rows' has sft: both must name the same task"]
    if before != "preprocessing":
        assert faults(None) == []


@pytest.mark.parametrize(
    ("task", "setting", "cure"),
    [
        ("regression", {"class_weights": "balanced"}, "class_weights is for task: classification"),
        ("multi_label", {"positive_label": "spam"}, "positive_label is for task: classification"),
        ("multi_label", {"label_smoothing": 0.1}, "label_smoothing is for task: classification or task: sft"),
        ("pretraining", {"class_weights": "balanced"}, "class_weights is for task: classification"),
    ],
)
def test_settings_that_a_task_does_not_know_are_refused(task: str, setting: dict[str, Any], cure: str) -> None:
    with pytest.raises(ValidationError, match=f"{cure}.*not for task: {task}"):
        TrainingConfig(task=task, model="m", **setting)


def test_floors_are_for_tasks_with_labels() -> None:
    floors = EvaluationConfig(recall_floors={"spam": 0.5})
    upstream = {name: TrainingConfig(task=name, model="m") for name in TASKS}
    refused = {name: EvaluationAgent.check(floors, {"training": config}) for name, config in upstream.items()}
    assert {name for name, faults in refused.items() if not faults} == {"classification", "multi_label"}
    assert refused["regression"] == [
        "recall_floors is for task: classification or task: multi_label, but 'training' is of task: regression"
    ]


def test_an_unknown_task_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidSpec, match=f"no task 'ranking' here; there are {', '.join(TASKS)}"):
        find_task("ranking")
    for make in CONFIGS.values():
        with pytest.raises(ValidationError, match="'ranking' is not a task"):
            make("ranking")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_so_that_it_is_read_again(value: float) -> None:
    assert read_number(shortest(value)) == value


@pytest.mark.parametrize(
    "text", ["", " ", "good", "3,5", "1,234", "nan", "inf", "-inf", "1e999", "0x10", "1_000", "5 stars", "٣", "--1"]
)
def test_what_is_not_a_plain_finite_number_is_not_read_as_one(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize(("text", "value"), [("4", 4.0), (" 4.0 ", 4.0), ("-.5", -0.5), ("+1e3", 1000.0), ("5.", 5.0)])
def test_numbers_are_read_as_programs_write_them(text: str, value: float) -> None:
    assert read_number(text) == value
    assert read_number(shortest(value)) == value
