"""Evaluation: the trained model on the frozen test split, beside the champion; the gate gives the verdict."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from agents.base.agent import Agent, Context, inputs_from
from agents.base.records import Config, DeviceNeed, Input
from agents.evaluation.types import EvaluationConfig, EvaluationOutput
from agents.tasks import TASKS, Task, find_task, names_with
from agents.tasks.base import TaskOption
from agents.training.types import TrainingOutput


class EvaluationAgent(Agent[EvaluationConfig, EvaluationOutput]):
    """Scores the challenger and the champion on the same rows."""

    config_type = EvaluationConfig
    output_type = EvaluationOutput
    consumes: ClassVar[tuple[str, ...]] = ("preprocessing", "training")
    consumes_one: ClassVar[tuple[str, ...]] = ("preprocessing",)
    heavy = True
    reads_champion = True

    def run(self, config: EvaluationConfig, context: Context) -> EvaluationOutput:
        """Predict, measure, compare, judge.

        Raises:
            InvalidData: a label or a metric that the rows don't have, or rows of another template than the training's.
            InvalidModel: the trained files can't be loaded.
            Diverged: no training has weights that are numbers.
        """
        from agents.evaluation.work import evaluate

        return evaluate(config, context)

    def loads(self, config: EvaluationConfig, inputs: Sequence[Input]) -> list[str]:
        tasks = {str(given.output["task"]) for given in inputs if given.agent == "training"}
        parts = [find_task(name).measure for name in sorted(tasks)]
        return [*parts, *(find_task(name).pairs for name in sorted(tasks) if config.must_beat)]

    def device_need(self, config: EvaluationConfig, context: Context) -> DeviceNeed:
        """The largest of the trainings', of which one is chosen later, and of the champion, which comes after it."""
        from agents.tasks.need import answering_need

        trainings = inputs_from(context, "training", TrainingOutput)
        champion = context.champion["total_parameters"] if context.champion else 0
        # A baseline that is a model comes beside the tuned one.
        models = 1 + any(config.must_beat and find_task(one.task).baselines_load_model for one in trainings)
        return answering_need(context, trainings, config.batch_size, models=models, parameters_least=champion)

    @classmethod
    def check(cls, config: EvaluationConfig, upstream: Mapping[str, Config]) -> list[str]:
        outside = [label for label, floor in config.recall_floors.items() if not 0 <= floor <= 1]
        faults = [f"recall_floors.{label} must lie between 0 and 1" for label in outside]
        for node, other in upstream.items():
            task = TASKS.get(getattr(other, "task", ""))
            if task is None:
                continue
            if config.metric and config.metric not in task.metrics:
                faults.append(f"metric is '{config.metric}', but '{node}' is of task: {task.name}")
            faults += _unknown_options(config, node, task)
            if wrong := [name for name in config.must_beat if name not in task.baselines]:
                known = ", ".join(task.baselines)
                faults.append(f"must_beat has '{wrong[0]}', but for the task of '{node}' there is {known}")
        return faults


def _unknown_options(config: EvaluationConfig, node: str, task: Task) -> list[str]:
    given: dict[TaskOption, bool] = {
        "recall_floors": bool(config.recall_floors),
        "positive_label": config.positive_label is not None,
    }
    return [
        f"{name} is for {names_with(name)}, but '{node}' is of task: {task.name}"
        for name, is_given in given.items()
        if is_given and not task.knows(name)
    ]
