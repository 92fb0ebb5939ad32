"""Comparison: what the tuning was good for. Baselines and the tuned model on the same frozen test rows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from agents.base.agent import Agent, Context, input_from
from agents.base.errors import InvalidData
from agents.base.records import Config, DeviceNeed
from agents.comparison.types import Baseline, ComparisonConfig, ComparisonOutput
from agents.evaluation.types import EvaluationOutput
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.names import Task

if TYPE_CHECKING:
    from agents.comparison.pairs import Pair

OF_TASK: dict[Task, tuple[Baseline, ...]] = {"classification": ("majority", "tfidf"), "sft": ("base",)}


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
        from agents.comparison.report import comparison_record, markdown

        data = input_from(context, "preprocessing", PreprocessingOutput)
        evaluation = input_from(context, "evaluation", EvaluationOutput)
        if data.splits["test"].rows.sha256 != evaluation.test_sha256:
            raise InvalidData(
                "The evaluation before this node scored other test rows than the preprocessing before it made.",
                cure="Let both nodes come from the same preprocessing.",
            )
        pairs = _pairs(config, context, data, evaluation)
        compared = {name: pair.compared(evaluation.metric) for name, pair in pairs.items()}
        for name, found in compared.items():
            context.log(
                "compared",
                baseline=name,
                metric=evaluation.metric,
                rows=found.rows,
                difference=round(found.difference, 4),
                interval=[round(bound, 4) for bound in found.difference_interval],
            )
        examples = {name: pair.examples(config.examples) for name, pair in pairs.items()}
        record = comparison_record(evaluation, compared, examples)
        return ComparisonOutput(
            metric=evaluation.metric,
            test_sha256=evaluation.test_sha256,
            compared=compared,
            report=context.objects.put_json(record),
            report_markdown=context.objects.put_artifact(markdown(record).encode(), "text/markdown"),
        )

    def device_need(self, config: ComparisonConfig, context: Context) -> DeviceNeed:
        """None for the baselines of classifiers; the base model's own of answers."""
        from agents.models.memory import answering_need

        training = input_from(context, "evaluation", EvaluationOutput).training
        if training.task != "sft":
            return DeviceNeed(count=0)
        return answering_need(context, [training], config.batch_size)

    @classmethod
    def check(cls, config: ComparisonConfig, upstream: Mapping[str, Config]) -> list[str]:
        faults = []
        for node, other in upstream.items():
            known = OF_TASK.get(getattr(other, "task", "classification"), ())
            wrong = [name for name in config.baselines or () if hasattr(other, "task") and name not in known]
            if wrong:
                faults.append(f"baselines has '{wrong[0]}', but for the task of '{node}' there is {', '.join(known)}")
        return faults


def _pairs(
    config: ComparisonConfig, context: Context, data: PreprocessingOutput, evaluation: EvaluationOutput
) -> "dict[str, Pair]":
    from agents.comparison.answers import answer_pairs
    from agents.comparison.labels import label_pairs

    if evaluation.training.task == "sft":
        return answer_pairs(context, data, evaluation, config.rows, config.batch_size)
    return label_pairs(context, data, evaluation, config.baselines or OF_TASK["classification"])
