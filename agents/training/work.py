"""The recipe of a training: load, adapt, fit, save."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agents.base.agent import Context, input_from
from agents.base.errors import Diverged, InvalidData
from agents.base.records import Artifact
from agents.base.system import keep_freed_memory
from agents.chat.renderer import matching_renderer
from agents.models.loading import model_folder
from agents.models.memory import ModelShape
from agents.models.tokenizers import check_vocabulary, load_tokenizer, tokenizer_fingerprint
from agents.preprocessing.types import PreprocessingOutput
from agents.training.checkpoint import Checkpoints
from agents.training.foresight import check_exports
from agents.training.linear import train_linear
from agents.training.loop import Fit
from agents.training.model import build_model, parameter_counts, save_files
from agents.training.output import Made, output_of
from agents.training.plan import Plan, TrainState, describe, fitted, identity, make_plan
from agents.training.ranks import Leader, follower_task
from agents.training.rng import seed_all
from agents.training.tracking import Trackers
from agents.training.types import TrainingConfig, TrainingOutput


def train(config: TrainingConfig, context: Context) -> TrainingOutput:
    """Train and return what came of it. Raises: as `TrainingAgent.run`."""
    if config.method == "tfidf":
        return train_linear(config, context)
    data = input_from(context, "preprocessing", PreprocessingOutput)
    path = context.sources.local(config.model, "model")
    fingerprint = context.sources.fingerprint(config.model, "model")
    tokenizer = _matching_tokenizer(path, data)
    if data.prompt:
        matching_renderer(tokenizer, data.prompt)
    plan = fitted(make_plan(config, data, context), path, context)
    base = model_folder(path, context.sources.cache_dir)
    check_vocabulary(tokenizer, ModelShape.read(base).vocabulary, config.model)
    check_exports(context, tokenizer, base)

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
    plan.objective.check(model)
    trained, total = parameter_counts(model, config.method)
    resolved = describe(plan, model)
    context.log("training_started", trainable_parameters=trained, total_parameters=total, **_headline(resolved))

    leader = Leader(plan, follower_task(plan, data, path, tokenizer.pad_token_id, context), context.work_dir)
    checkpoints = Checkpoints.of(context, identity(plan.config, data, fingerprint))
    state, events, diverged = _fit(model, plan, context, checkpoints, leader)

    files = {}
    if diverged is None:
        plan.objective.finish(model)
        files = save_files(model, tokenizer, config.model, context.work_dir / "model", context.objects)
        context.log("training_finished", steps=state.step, metrics=state.metrics())
    curve = context.objects.put_json(state.curve)
    made = Made(files, curve, events, resolved, base_fingerprint=fingerprint, trained=trained, total=total)
    return output_of(plan, data, state, made, diverged)


def _fit(
    model: PreTrainedModel, plan: Plan, context: Context, checkpoints: Checkpoints, leader: Leader
) -> tuple[TrainState, dict[str, Artifact], str | None]:
    """Train to the end, with all figures in the trackers too; return the state, TensorBoard's files, and why a member
    of a sweep has no weights.

    Raises:
        Diverged: a training that is the only one has left the numbers.
    """
    trackers, diverged = Trackers(plan.config.report_to, context, describe(plan, model)), None
    fit = Fit(model, plan, context, checkpoints, trackers, leader)
    try:
        with leader:
            fit.run()
    except Diverged as fault:
        if not _is_one_of_a_sweep(context.node):
            raise
        diverged = fault.message
        context.log("training_diverged", level="error", step=fit.train_state.step, message=str(fault))
    finally:
        trackers.close()
    return fit.train_state, trackers.artifacts(), diverged


def _is_one_of_a_sweep(node: str) -> bool:
    """Say whether a node is one of a matrix: the values it has stand in its name (`training[learning_rate=0.1]`)."""
    return node.endswith("]")


def _matching_tokenizer(path: Path, data: PreprocessingOutput) -> PreTrainedTokenizerFast:
    """Return the model's tokenizer, once it is sure that the rows were made with it."""
    tokenizer = load_tokenizer(path)
    if tokenizer_fingerprint(tokenizer) != data.tokenizer_fingerprint:
        raise InvalidData(
            f"The rows were made with the tokenizer of '{data.model}', which is not that of the model to train.",
            cure="Name the same model in the configs of preprocessing and training.",
        )
    tokenizer.truncation_side = data.truncation_side
    return tokenizer


def _headline(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth a line in the log, of all hyperparameters."""
    names = ("method", "device", "precision", "total_steps", "steps_per_epoch", "micro_batch", "gradient_accumulation")
    return {name: resolved[name] for name in names}
