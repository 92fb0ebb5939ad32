"""ValidationAgent: rows become a report; rows that can't be learned from stop the job, personal data as configured."""

from collections.abc import Mapping

from agents.base.agent import Agent, Context, input_from
from agents.base.errors import InvalidData
from agents.base.records import Config
from agents.base.sources import Sources
from agents.dataset.types import DatasetOutput
from agents.tasks import Task, find_task, task_faults, task_of_shape
from agents.tasks.shapes import check_shape
from agents.validation.types import ValidationConfig, ValidationOutput


class ValidationAgent(Agent[ValidationConfig, ValidationOutput]):
    """Judges every row once."""

    config_type = ValidationConfig
    output_type = ValidationOutput
    consumes = ("dataset",)
    consumes_one = ("dataset",)

    def cache_inputs(self, config: ValidationConfig, sources: Sources) -> Mapping[str, str]:
        return {"model": sources.fingerprint(config.model, "model")} if config.model else {}

    @classmethod
    def check(cls, config: ValidationConfig, upstream: Mapping[str, Config]) -> list[str]:
        """Rows that are read for another task."""
        return task_faults(config.task, upstream)

    def run(self, config: ValidationConfig, context: Context) -> ValidationOutput:
        """Write the rows that passed and the report.

        Raises:
            InvalidData: with every problem; the report is stored and named in the log all the same.
            InvalidModel: names are wanted, and what finds them is not installed; or `model` has no tokenizer.
        """
        from agents.validation.problems import find_problems, too_many_labels
        from agents.validation.work import examine, write_report

        dataset = input_from(context, "dataset", DatasetOutput)
        task = _task(config, dataset)
        examined = examine(dataset, config, context, task)
        labelled = task is not None and task.rows == "labels"
        problems = find_problems(config, examined, labelled=labelled)
        if task and task.rows == "label_lists":
            problems += too_many_labels(config, examined)
        output = write_report(examined, problems, config, context)
        if problems:
            raise InvalidData(
                f"The rows of '{dataset.source}' can't be used: {' '.join(problems)}",
                cure=f"The report {output.report.sha256[:12]} lists the rows.",
                details=[{"path": f"nodes.{context.node}", "message": problem} for problem in problems],
            )
        context.progress(examined.findings.rows, examined.findings.rows)
        return output


def _task(config: ValidationConfig, dataset: DatasetOutput) -> Task | None:
    """Return what the rows are for: as configured here or where they are read, or else by their shape.

    Raises:
        InvalidData: the configured task doesn't learn from such rows.
    """
    if name := config.task or dataset.task:
        task = find_task(name)
        check_shape(task, dataset.shape, dataset.source, dataset.preference)
        return task
    return task_of_shape(dataset.shape)


__all__ = ["ValidationAgent", "ValidationConfig"]
