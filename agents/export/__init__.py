"""Export: the judged model as files anyone can use, a model card, and last of all the manifest."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import ClassVar

from agents.base.agent import Agent, Context, input_from
from agents.base.records import Config, DeviceNeed, Input
from agents.evaluation.types import EvaluationOutput
from agents.export.types import ExportConfig, ExportOutput
from agents.formats import FORMATS, with_sources
from agents.tasks import TASKS, find_task


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
        from agents.export.work import export

        return export(config, context)

    def loads(self, config: ExportConfig, inputs: Sequence[Input]) -> list[str]:
        forms = with_sources(config.formats)
        writers = [path for form in forms for path in (form.writer, form.beside) if path]
        tasks = {str(given.output["training"]["task"]) for given in inputs if given.agent == "evaluation"}
        return [*sorted(writers), *(find_task(name).golden for name in sorted(tasks))]

    def device_need(self, config: ExportConfig, context: Context) -> DeviceNeed:
        """The trained model and the merged one held against it; files of the training alone are on no device."""
        from agents.tasks.need import answering_need

        if all(FORMATS[name].writer is None for name in config.formats):
            return DeviceNeed(count=0)
        training = input_from(context, "evaluation", EvaluationOutput).training
        return answering_need(context, [training], find_task(training.task).rows_asked_at_once, models=2)

    @classmethod
    def check(cls, config: ExportConfig, upstream: Mapping[str, Config]) -> list[str]:
        faults = []
        for node, other in upstream.items():
            # Unset on both sides means the pipeline's name; one side alone may differ from it.
            judged_as = getattr(other, "model_name", config.model_name)
            if judged_as != config.model_name and None not in (judged_as, config.model_name):
                faults.append(f"model_name is '{config.model_name}', but '{node}' compares with '{judged_as}'")
            faults += _of_another_task(config.formats, node, getattr(other, "task", None))
        return faults + _of_another_method(config.formats, upstream) + _missing_packages(config.formats)


def _of_another_method(formats: Sequence[str], upstream: Mapping[str, Config]) -> list[str]:
    """Name formats that no training before makes, and trainings that have none of the formats."""
    methods = {node: str(other.method) for node, other in upstream.items() if hasattr(other, "method")}
    known = [name for name in formats if name in FORMATS]
    faults = []
    for name in known:
        if methods and not set(methods.values()) & set(FORMATS[name].methods):
            node, method = next(iter(methods.items()))
            faults.append(f"formats has '{name}', but '{node}' is of method: {method}; use {_fitting(method)}")
    for node, method in methods.items():
        if not faults and not any(method in FORMATS[name].methods for name in known):
            faults.append(f"formats has none for '{node}', which is of method: {method}; add {_fitting(method)}")
    return faults


def _fitting(method: str) -> str:
    """Return the formats of a method that need no more packages, to be read in a message."""
    return " or ".join(f"'{form.name}'" for form in FORMATS.values() if method in form.methods and not form.packages)


def _of_another_task(formats: Sequence[str], node: str, task: str | None) -> list[str]:
    known = TASKS.get(task or "")
    misfits = [name for name in formats if known and known.kind not in FORMATS[name].kinds]
    return [f"formats has '{name}', but '{node}' is of task: {task}" for name in misfits]


def _missing_packages(formats: Sequence[str]) -> list[str]:
    """Where this machine could train it is taken for one that will export too; an API without torch can't know."""
    if not find_spec("torch"):
        return []
    lacking = {name: form for name in formats if (form := FORMATS[name]).missing_packages()}
    return [
        f"the format {name} needs {', '.join(form.missing_packages())}: pip install 'tuneline[{form.extra or 'train'}]'"
        for name, form in lacking.items()
    ]
