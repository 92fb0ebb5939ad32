"""Tasks: what a model can be trained to do. `TASKS` is the one table of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator

from agents.base.errors import InvalidSpec
from agents.data.types import Shape
from agents.tasks.base import Task, TaskOption
from agents.tasks.classification import CLASSIFICATION
from agents.tasks.multi_label import MULTI_LABEL
from agents.tasks.pretraining import PRETRAINING
from agents.tasks.regression import REGRESSION
from agents.tasks.sft import SFT

#: Of several that learn from rows of one shape, the first is taken where nobody says which.
TASKS: dict[str, Task] = {task.name: task for task in (CLASSIFICATION, SFT, MULTI_LABEL, REGRESSION, PRETRAINING)}


def _one_of(what: str, known: Callable[[], list[str]]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in known():
            raise ValueError(f"'{value}' is not {what}; there are {', '.join(known())}")
        return value

    return check


def _all(facts: Callable[[Task], Iterable[str]]) -> Callable[[], list[str]]:
    return lambda: list(dict.fromkeys(name for task in TASKS.values() for name in facts(task)))


#: Names as a spec may write them.
TaskName = Annotated[str, AfterValidator(_one_of("a task", lambda: list(TASKS)))]
MetricName = Annotated[str, AfterValidator(_one_of("a metric", _all(lambda task: task.metrics)))]
ValidationMetricName = Annotated[str, AfterValidator(_one_of("a metric", _all(lambda task: task.validation_metrics)))]
BaselineName = Annotated[str, AfterValidator(_one_of("a baseline", _all(lambda task: task.baselines)))]


def find_task(name: str) -> Task:
    """Return the task of a name.

    Raises:
        InvalidSpec: this process knows no such task.
    """
    if name not in TASKS:
        raise InvalidSpec(
            f"There is no task '{name}' here; there are {', '.join(TASKS)}.",
            cure="Name one of these, or make the task known to every worker and to serving.",
        )
    return TASKS[name]


def task_of_shape(shape: Shape) -> Task | None:
    """Return the first of the tasks that learn from rows of a shape, those first whose own shape it is."""
    fitting = [task for task in TASKS.values() if shape in task.shapes]
    return min(fitting, key=lambda task: task.shapes[0] != shape, default=None)


def names_with(option: TaskOption) -> str:
    """Return the names of the tasks that know a setting, to be read in a message."""
    return " or ".join(f"task: {task.name}" for task in TASKS.values() if task.knows(option))


def task_faults(task: str | None, upstream: Mapping[str, object]) -> list[str]:
    """Return a sentence for each config before a node that is of another task. `task`: the node's; None: not said."""
    return [
        f"'task' is {task}, but '{name}' has {other}: both must name the same task"
        for name, config in upstream.items()
        if task is not None and (other := getattr(config, "task", None)) not in (None, task)
    ]


__all__ = [
    "TASKS",
    "BaselineName",
    "MetricName",
    "Task",
    "TaskName",
    "ValidationMetricName",
    "find_task",
    "names_with",
    "task_faults",
    "task_of_shape",
]
