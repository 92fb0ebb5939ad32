"""Tasks: what a model can be trained to do. `TASKS` is the one table of them."""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from agents.base.errors import InvalidSpec
from agents.tasks.base import Task
from agents.tasks.classification import CLASSIFICATION
from agents.tasks.sft import SFT

TASKS: dict[str, Task] = {task.name: task for task in (CLASSIFICATION, SFT)}


def _one_of(what: str, known: Callable[[], list[str]]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in known():
            raise ValueError(f"'{value}' is not {what}; there are {', '.join(known())}")
        return value

    return check


def _all(facts: Callable[[Task], tuple[str, ...]]) -> Callable[[], list[str]]:
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


def names_of(kind: str) -> str:
    """Return the names of the tasks whose rows are of a kind, to be read in a message."""
    return " or ".join(f"task: {task.name}" for task in TASKS.values() if task.rows == kind)


__all__ = ["TASKS", "BaselineName", "MetricName", "Task", "TaskName", "ValidationMetricName", "find_task", "names_of"]
