"""ValidationAgent: rows become a report; rows that can't be learned from stop the job, personal data as configured."""

from collections.abc import Mapping

from agents.base.agent import Agent, Context, input_from
from agents.base.errors import InvalidData
from agents.base.sources import Sources
from agents.dataset.types import DatasetOutput
from agents.validation.types import ValidationConfig, ValidationOutput


class ValidationAgent(Agent[ValidationConfig, ValidationOutput]):
    """Judges every row once."""

    config_type = ValidationConfig
    output_type = ValidationOutput
    consumes = ("dataset",)
    consumes_one = ("dataset",)

    def cache_inputs(self, config: ValidationConfig, sources: Sources) -> Mapping[str, str]:
        return {"model": sources.fingerprint(config.model, "model")} if config.model else {}

    def run(self, config: ValidationConfig, context: Context) -> ValidationOutput:
        """Write the rows that passed and the report.

        Raises:
            InvalidData: with every problem; the report is stored and named in the log all the same.
            InvalidModel: names are wanted, and what finds them is not installed; or `model` has no tokenizer.
        """
        from agents.validation.problems import find_problems
        from agents.validation.work import examine, write_report

        dataset = input_from(context, "dataset", DatasetOutput)
        examined = examine(dataset, config, context)
        labelled = dataset.shape == "text_label"
        problems = find_problems(config, examined.findings, examined.passed, labelled=labelled)
        output = write_report(examined, problems, context)
        if problems:
            raise InvalidData(
                f"The rows of '{dataset.source}' can't be used: {' '.join(problems)}",
                cure=f"The report {output.report.sha256[:12]} lists the rows.",
                details=[{"path": f"nodes.{context.node}", "message": problem} for problem in problems],
            )
        context.progress(examined.findings.rows, examined.findings.rows)
        return output


__all__ = ["ValidationAgent", "ValidationConfig"]
