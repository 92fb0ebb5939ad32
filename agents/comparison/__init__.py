"""Comparison: what the tuning was good for. Baselines and the tuned model on the same frozen test rows."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from agents.base.agent import Agent, Context, input_from
from agents.base.records import Config, DeviceNeed, Input
from agents.comparison.types import ComparisonConfig, ComparisonOutput
from agents.evaluation.types import EvaluationOutput
from agents.tasks import TASKS, find_task


class ComparisonAgent(Agent[ComparisonConfig, ComparisonOutput]):
    """Scores the baselines on the rows that the evaluation scored, and takes the tuned model's answers from there."""

    config_type = ComparisonConfig
    output_type = ComparisonOutput
    consumes: ClassVar[tuple[str, ...]] = ("preprocessing", "evaluation")
    consumes_one: ClassVar[tuple[str, ...]] = ("preprocessing", "evaluation")
    heavy = True

    def run(self, config: ComparisonConfig, context: Context) -> ComparisonOutput:
        """Answer with each baseline, set the figures side by side, pick examples.

        Raises:
            InvalidData: the evaluation scored other rows than this preprocessing made, or a baseline can't learn them.
            InvalidModel: the base model can't be loaded.
        """
        from agents.comparison.work import compare

        return compare(config, context)

    def loads(self, config: ComparisonConfig, inputs: Sequence[Input]) -> list[str]:
        tasks = {str(given.output["training"]["task"]) for given in inputs if given.agent == "evaluation"}
        return [find_task(name).pairs for name in sorted(tasks)]

    def device_need(self, config: ComparisonConfig, context: Context) -> DeviceNeed:
        """What the base model needs, where it is a baseline; else nothing."""
        from agents.tasks.need import answering_need

        training = input_from(context, "evaluation", EvaluationOutput).training
        if not find_task(training.task).baselines_load_model:
            return DeviceNeed(count=0)
        return answering_need(context, [training], config.batch_size)

    @classmethod
    def check(cls, config: ComparisonConfig, upstream: Mapping[str, Config]) -> list[str]:
        faults = []
        for node, other in upstream.items():
            task = TASKS.get(getattr(other, "task", ""))
            wrong = [name for name in config.baselines or () if task and name not in task.baselines]
            if task and wrong:
                known = ", ".join(task.baselines)
                faults.append(f"baselines has '{wrong[0]}', but for the task of '{node}' there is {known}")
        return faults
