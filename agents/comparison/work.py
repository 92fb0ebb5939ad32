"""The recipe of a comparison: answer with each baseline, set the figures side by side, pick examples."""

from agents.base.agent import Context, input_from
from agents.base.errors import InvalidData
from agents.comparison.report import comparison_record, markdown
from agents.comparison.types import ComparisonConfig, ComparisonOutput
from agents.evaluation.types import EvaluationOutput
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.pairs import make_pairs


def compare(config: ComparisonConfig, context: Context) -> ComparisonOutput:
    """Compare the tuned model with the baselines. Raises: as `ComparisonAgent.run`."""
    data = input_from(context, "preprocessing", PreprocessingOutput)
    evaluation = input_from(context, "evaluation", EvaluationOutput)
    if data.splits["test"].rows.sha256 != evaluation.test_sha256:
        raise InvalidData(
            "The evaluation before this node scored other test rows than the preprocessing before it made.",
            cure="Let both nodes come from the same preprocessing.",
        )
    pairs = make_pairs(config, context, data, evaluation)
    compared = {name: pair.compared(evaluation.metric) for name, pair in pairs.items()}
    for name, found in compared.items():
        context.log(
            "compared",
            baseline=name,
            metric=evaluation.metric,
            rows=found.rows,
            difference=round(found.difference, 4),
            interval=[round(bound, 4) for bound in found.difference_interval],
            better=found.better,
            message=found.sentence(name, evaluation.metric),
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
