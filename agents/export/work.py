"""The recipe of an export: write the formats, prove them, write the card, and last of all the manifest."""

from agents.base.agent import Context, input_from
from agents.base.errors import InvalidSpec
from agents.evaluation.types import EvaluationOutput
from agents.export.files import FormatFiles
from agents.export.manifest import compared_before, write_version
from agents.export.types import ExportConfig, ExportedFile, ExportOutput


def export(config: ExportConfig, context: Context) -> ExportOutput:
    """Write a version. Raises: as `ExportAgent.run`."""
    name = config.model_name or context.pipeline
    evaluation = _judged_as(name, _beside_baselines(context, input_from(context, "evaluation", EvaluationOutput)))
    if context.version is None:
        raise InvalidSpec(f"Node '{context.node}' has no version number to write.")
    formats: dict[str, list[ExportedFile]] = {}
    files = FormatFiles(context, evaluation, name, config.formats)
    for left_out in sorted(set(config.formats) - set(files.formats)):
        context.log("format_left_out", level="warning", format=left_out, method=evaluation.training.method)
    for done, form in enumerate(files.formats):
        context.progress(done, len(files.formats))
        formats[form] = files.store(form)
        size = sum(file.artifact.size_bytes for file in formats[form])
        context.log("format_written", format=form, files=len(formats[form]), size_bytes=size)
    key = write_version(context, config, context.version, evaluation, formats, files.parity)
    context.progress(len(files.formats), len(files.formats))
    return ExportOutput(
        model_name=name,
        version=context.version,
        verdict=evaluation.verdict,
        champion_version=evaluation.champion_version,
        formats=formats,
        parity=files.parity,
        metrics=evaluation.metrics,
        manifest_key=key,
    )


def _beside_baselines(context: Context, evaluation: EvaluationOutput) -> EvaluationOutput:
    """Add to the reasons whether the model is better than each baseline that it was compared with."""
    compared = {name: found for name, found in compared_before(context).items() if name not in evaluation.compared}
    said = [found.sentence(name, evaluation.metric) for name, found in compared.items()]
    if not compared and not evaluation.compared:
        said = ["Whether it is better than a baseline is not known: no comparison stands before the export."]
    return evaluation.model_copy(update={"reasons": [*evaluation.reasons, *said]})


def _judged_as(name: str, evaluation: EvaluationOutput) -> EvaluationOutput:
    """Hold back a PROMOTE that was given beside the champion of another model than the one to be written."""
    if evaluation.verdict != "PROMOTE" or evaluation.model_name == name:
        return evaluation
    reason = (
        f"It was judged beside the champion of '{evaluation.model_name}', not of '{name}': "
        "name the same model_name in the evaluation and the export."
    )
    return evaluation.model_copy(update={"verdict": "HOLD", "reasons": [*evaluation.reasons, reason]})
