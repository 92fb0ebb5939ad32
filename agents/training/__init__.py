"""Training: a base model learns the training split; the best weights by the validation split are kept."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from agents.base.agent import Agent, Context
from agents.base.records import Config, DeviceNeed, Input
from agents.base.sources import Sources
from agents.tasks import task_faults
from agents.training.types import TrainingConfig, TrainingOutput


class TrainingAgent(Agent[TrainingConfig, TrainingOutput]):
    """Fits LoRA, QLoRA or the whole model, to classify texts or to answer prompts; or a linear model of words."""

    config_type = TrainingConfig
    output_type = TrainingOutput
    consumes: ClassVar[tuple[str, ...]] = ("preprocessing",)
    consumes_one: ClassVar[tuple[str, ...]] = ("preprocessing",)
    heavy = True

    def run(self, config: TrainingConfig, context: Context) -> TrainingOutput:
        """Load, adapt, fit, save.

        Raises:
            InvalidData: the split is empty, made with another tokenizer, or has no such `positive_label`.
            InvalidModel: the base model can't be loaded, or writes prompts in another format than the rows.
            InvalidSpec: module names that don't exist, or not even one row fits into memory.
            OutOfMemory: try again with a smaller micro-batch.
            Diverged: its loss or weights are no longer numbers; a member of a sweep returns that instead.
            StopRequested: after a cancel or a pause; a checkpoint was saved.
        """
        from agents.training.work import train

        return train(config, context)

    def device_need(self, config: TrainingConfig, context: Context) -> DeviceNeed:
        """The estimate for a whole batch of longest rows, on each of the processes' devices; of words none."""
        if config.method == "tfidf":
            return DeviceNeed(count=0)
        from agents.training.need import device_need

        return device_need(config, context)

    def cache_inputs(self, config: TrainingConfig, sources: Sources) -> Mapping[str, str]:
        return {"model": sources.fingerprint(config.model, "model")}

    def loads(self, config: TrainingConfig, inputs: Sequence[Input]) -> list[str]:
        return [config.known_task.objective]

    @classmethod
    def check(cls, config: TrainingConfig, upstream: Mapping[str, Config]) -> list[str]:
        """Faults that only show beside the nodes before: rows made for another model or task."""
        models = [
            f"'model' is {config.model}, but '{name}' makes tokens for {other}: both must name the same model"
            for name, before in upstream.items()
            if (other := getattr(before, "model", None)) not in (None, config.model)
        ]
        return [*models, *task_faults(config.task, upstream)]
