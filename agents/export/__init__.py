"""Export: the judged model as files anyone can use, a model card, and last of all the manifest."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import ClassVar

from agents.base.agent import Agent, Context, input_from
from agents.base.errors import InvalidSpec
from agents.base.records import Config, DeviceNeed
from agents.evaluation.types import EvaluationOutput
from agents.export.types import ExportConfig, ExportedFile, ExportOutput
from agents.tasks.names import Task

CLASSIFIER_FORMATS = ("onnx", "onnx_int8")
#: Texts or prompts that parity hands to a model at once, which are the loaders' own defaults.
ASKED_AT_ONCE: dict[Task, int] = {"classification": 64, "sft": 32}


class ExportAgent(Agent[ExportConfig, ExportOutput]):
    """Writes a version. Until its manifest is there, it does not exist."""

    config_type = ExportConfig
    output_type = ExportOutput
    consumes: ClassVar[tuple[str, ...]] = ("evaluation",)
    consumes_if_present: ClassVar[tuple[str, ...]] = ("dataset", "validation", "preprocessing", "comparison")
    consumes_one: ClassVar[tuple[str, ...]] = ("evaluation", "preprocessing")
    heavy = True
    makes_version = True

    def run(self, config: ExportConfig, context: Context) -> ExportOutput:
        """Write the formats, prove them, write the card, write the manifest.

        Raises:
            InvalidModel: a format does not answer as the trained model does, or can't be made of it.
            InvalidSpec: no version number was reserved for this node; a format is not for this task, or needs packages
                that are not installed here.
            NoSpace: too little disk for the formats. OutOfMemory: too little memory. Both before anything is written.
        """
        from agents.export.files import Formats
        from agents.export.manifest import write_version

        name = config.model_name or context.pipeline
        evaluation = _judged_as(name, input_from(context, "evaluation", EvaluationOutput))
        if context.version is None:
            raise InvalidSpec(f"Node '{context.node}' has no version number to write.")
        formats: dict[str, list[ExportedFile]] = {}
        written = Formats(context, evaluation, name, config.formats)
        for done, form in enumerate(config.formats):
            context.progress(done, len(config.formats))
            formats[form] = written.write(form)
            size = sum(file.artifact.size_bytes for file in formats[form])
            context.log("format_written", format=form, files=len(formats[form]), size_bytes=size)
        key = write_version(context, name, context.version, evaluation, formats, written.parity)
        context.progress(len(config.formats), len(config.formats))
        return ExportOutput(
            model_name=name,
            version=context.version,
            verdict=evaluation.verdict,
            champion_version=evaluation.champion_version,
            formats=formats,
            parity=written.parity,
            metrics=evaluation.metrics,
            manifest_key=key,
        )

    def device_need(self, config: ExportConfig, context: Context) -> DeviceNeed:
        """The trained model and the merged one held against it; the adapter alone is on no device."""
        from agents.models.memory import answering_need

        if set(config.formats) == {"adapter"}:
            return DeviceNeed(count=0)
        training = input_from(context, "evaluation", EvaluationOutput).training
        return answering_need(context, [training], ASKED_AT_ONCE[training.task], models=2)

    @classmethod
    def check(cls, config: ExportConfig, upstream: Mapping[str, Config]) -> list[str]:
        faults = []
        for node, other in upstream.items():
            # Unset on both sides means the pipeline's name; one side alone may differ from it.
            judged_as = getattr(other, "model_name", config.model_name)
            if judged_as != config.model_name and None not in (judged_as, config.model_name):
                faults.append(f"model_name is '{config.model_name}', but '{node}' compares with '{judged_as}'")
            if getattr(other, "method", None) == "full" and "adapter" in config.formats:
                faults.append(f"formats has 'adapter', but '{node}' trains the whole model: use 'merged'")
            faults += _of_another_task(config.formats, node, getattr(other, "task", None))
        if any(form.startswith("gguf_") for form in config.formats):
            faults += _missing_packages()
        return faults


def _of_another_task(formats: Sequence[str], node: str, task: str | None) -> list[str]:
    misfits = {
        "sft": [form for form in formats if form in CLASSIFIER_FORMATS],
        "classification": [form for form in formats if form.startswith("gguf_")],
    }
    return [f"formats has '{form}', but '{node}' is of task: {task}" for form in misfits.get(str(task), [])]


def _missing_packages() -> list[str]:
    """Where this machine could train it is taken for one that will export too; an API without torch can't know."""
    from agents.export.gguf import missing_packages

    missing = missing_packages() if find_spec("torch") else []
    return [f"the formats gguf_* need {', '.join(missing)}: pip install 'tuneline[gguf]'"] if missing else []


def _judged_as(name: str, evaluation: EvaluationOutput) -> EvaluationOutput:
    """Hold back a PROMOTE that was given beside the champion of another model than the one to be written."""
    if evaluation.verdict != "PROMOTE" or evaluation.model_name == name:
        return evaluation
    reason = (
        f"It was judged beside the champion of '{evaluation.model_name}', not of '{name}': "
        "name the same model_name in the evaluation and the export."
    )
    return evaluation.model_copy(update={"verdict": "HOLD", "reasons": [*evaluation.reasons, reason]})
