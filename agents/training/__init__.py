"""Training: a base model learns the training split; the best weights by the validation split are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from agents.base.agent import Agent, Context, input_from
from agents.base.errors import InvalidData
from agents.base.records import Config, DeviceNeed
from agents.preprocessing.types import PreprocessingOutput
from agents.training.types import LoraSettings, TrainingConfig, TrainingOutput

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from agents.base.records import Artifact
    from agents.base.sources import Sources
    from agents.training.checkpoint import Checkpoints
    from agents.training.plan import Plan, TrainState
    from agents.training.ranks import Leader

__all__ = ["LoraSettings", "TrainingAgent", "TrainingConfig"]


class TrainingAgent(Agent[TrainingConfig, TrainingOutput]):
    """Fits LoRA, QLoRA or the whole model, as a classifier of texts or to answer prompts."""

    config_type = TrainingConfig
    output_type = TrainingOutput
    consumes: ClassVar[tuple[str, ...]] = ("preprocessing",)
    consumes_one: ClassVar[tuple[str, ...]] = ("preprocessing",)
    heavy = True

    def run(self, config: TrainingConfig, context: Context) -> TrainingOutput:
        """Load, adapt, fit, save.

        Raises:
            InvalidData: the split is empty or made with another tokenizer.
            InvalidModel: the base model can't be loaded, or writes prompts in another format than the rows.
            InvalidSpec: labels or module names that don't exist, or not even one row fits into memory.
            OutOfMemory: try again with a smaller micro-batch.
            StopRequested: after a cancel or a pause; a checkpoint was saved.
        """
        from agents.base.system import keep_freed_memory
        from agents.chat.renderer import matching_renderer
        from agents.training.checkpoint import Checkpoints
        from agents.training.model import build_model, parameter_counts, save_files
        from agents.training.output import Made, output_of
        from agents.training.plan import describe, fitted, identity, make_plan
        from agents.training.ranks import Leader, follower_task
        from agents.training.rng import seed_all

        data = input_from(context, "preprocessing", PreprocessingOutput)
        path = context.sources.local(config.model, "model")
        fingerprint = context.sources.fingerprint(config.model, "model")
        tokenizer = _matching_tokenizer(path, data)
        if data.prompt:
            matching_renderer(tokenizer, data.prompt)
        plan = fitted(make_plan(config, data, context), path, context)

        keep_freed_memory()
        seed_all(config.seed)
        model = build_model(
            config,
            path,
            data.labels,
            plan.placement,
            cache_dir=context.sources.cache_dir,
            pad_token_id=tokenizer.pad_token_id,
        )
        trained, total = parameter_counts(model, config.method)
        resolved = describe(plan, model)
        context.log("training_started", trainable_parameters=trained, total_parameters=total, **_headline(resolved))

        leader = Leader(plan, follower_task(plan, data, path, tokenizer.pad_token_id, context), context.work_dir)
        checkpoints = Checkpoints.of(context, identity(config, data, fingerprint))
        course, events = _fit(model, plan, context, checkpoints, leader)

        files = save_files(model, tokenizer, config.model, context.work_dir / "model", context.objects)
        curve = context.objects.put_json(course.curve)
        context.log("training_finished", steps=course.step, metrics=course.metrics())
        made = Made(files, curve, events, resolved, base_fingerprint=fingerprint, trained=trained, total=total)
        return output_of(plan, data, course, made)

    def device_need(self, config: TrainingConfig, context: Context) -> DeviceNeed:
        """The estimate for a whole batch of longest rows, on each of the processes' devices."""
        from agents.models.files import is_gguf
        from agents.models.memory import ModelShape
        from agents.training.estimate import device_mib

        path = context.sources.local(config.model, "model")
        if is_gguf(path):
            # Its weights have to be converted before they can be counted.
            return DeviceNeed(count=config.processes)
        data = input_from(context, "preprocessing", PreprocessingOutput)
        return DeviceNeed(mib=device_mib(ModelShape.read(path), config, data.max_tokens), count=config.processes)

    def cache_inputs(self, config: TrainingConfig, sources: "Sources") -> Mapping[str, str]:
        return {"model": sources.fingerprint(config.model, "model")}

    @classmethod
    def check(cls, config: TrainingConfig, upstream: Mapping[str, Config]) -> list[str]:
        """Faults that only show beside the nodes before: rows made for another model."""
        wanted = {"model": config.model, "task": config.task}
        return [
            f"'{key}' is {value}, but '{name}' makes tokens for {getattr(other, key)}: both must name the same {key}"
            for name, other in upstream.items()
            for key, value in wanted.items()
            if getattr(other, key, None) not in (None, value)
        ]


def _fit(
    model: "PreTrainedModel", plan: "Plan", context: Context, checkpoints: "Checkpoints", leader: "Leader"
) -> "tuple[TrainState, dict[str, Artifact]]":
    """Train to the end, with all figures in the trackers too; return the course and TensorBoard's files."""
    from agents.training.loop import Fit
    from agents.training.plan import describe
    from agents.training.tracking import Trackers

    trackers = Trackers(plan.config.report_to, context, describe(plan, model))
    try:
        with leader:
            course = Fit(model, plan, context, checkpoints, trackers, leader).run()
    finally:
        trackers.close()
    return course, trackers.artifacts()


def _matching_tokenizer(path: Path, data: PreprocessingOutput) -> "PreTrainedTokenizerFast":
    """Return the model's tokenizer, once it is sure that the rows were made with it."""
    from agents.models.tokenizers import load_tokenizer, tokenizer_fingerprint

    tokenizer = load_tokenizer(path)
    if tokenizer_fingerprint(tokenizer) != data.tokenizer_fingerprint:
        raise InvalidData(
            f"The rows were made with the tokenizer of '{data.model}', which is not that of the model to train.",
            cure="Name the same model in the configs of preprocessing and training.",
        )
    tokenizer.truncation_side = data.truncation_side
    return tokenizer


def _headline(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth a line in the log, of all dials."""
    names = ("method", "device", "precision", "total_steps", "steps_per_epoch", "micro_batch", "gradient_accumulation")
    return {name: resolved[name] for name in names}
