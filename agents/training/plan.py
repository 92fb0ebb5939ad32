"""What a training is to do (`Plan`) and how far it has come (`TrainState`)."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from agents.base.agent import Context
from agents.base.errors import InvalidData
from agents.data.batches import Rows, read_rows
from agents.models.loading import model_folder
from agents.models.memory import ModelShape
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.objective import Objective, make_objective
from agents.training.by_rows import chosen
from agents.training.encoder_packing import packs_rows
from agents.training.estimate import Load, check_disk, choose_micro_batch, disk_bytes
from agents.training.memory import free_bytes, micro_batch_after
from agents.training.model import Placement, check_processes, choose_placement
from agents.training.types import TrainingConfig

#: Hyperparameters that change nothing about what is learned: a checkpoint is good for any value of them.
FREE_HYPERPARAMETERS = {"save_steps", "log_steps", "report_to", "model", "keep"}


@dataclass
class TrainState:
    """How far a training is and what it has seen: JSON values only, written into every checkpoint."""

    step: int = 0
    tokens: int = 0
    """Without padding."""
    train_s: float = 0.0
    """In steps: validations and checkpoints are left out."""
    loss_sum: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    best_rank: list[float] | None = None
    best_step: int = 0
    best_figures: dict[str, float] = field(default_factory=dict)
    last_figures: dict[str, float] = field(default_factory=dict)
    """Of the newest validation."""
    validations_without_gain: int = 0
    stopped_early: bool = False

    def keep_last(self) -> None:
        """Let the figures be those of the last weights, which are kept instead of the best."""
        self.best_step, self.best_figures = self.step, self.last_figures

    def metrics(self) -> dict[str, float]:
        """Return the training's figures; those of the validation are the kept weights' own."""
        figures = {
            "train_loss": self.loss_sum / max(self.step, 1),
            "train_s": self.train_s,
            "tokens_per_s": self.tokens / max(self.train_s, 1e-9),
            "best_step": float(self.best_step or self.step),
            **{f"validation_{name}": value for name, value in self.best_figures.items()},
        }
        return {name: round(value, 6) for name, value in figures.items()}


@dataclass(frozen=True)
class Plan:
    """What stays the same over a training. `micro_batch`: rows that go through the model at once."""

    config: TrainingConfig
    placement: Placement
    micro_batch: int
    objective: Objective
    train: Rows
    validation: Rows
    chosen_by_rows: tuple[str, ...] = ()
    """The hyperparameters that the number of rows decided."""

    @property
    def packing(self) -> bool:
        """Whether a decoder's rows share sequences; on CPUs pieces of like length are faster: `docs/training.md`."""
        if self.config.known_task.kind != "decoder":
            return False
        return self.placement.device.type == "cuda" if self.config.packing is None else self.config.packing

    @property
    def steps_drawn_together(self) -> int:
        """Of how many steps the rows are drawn at random and then shared out by length."""
        return self.config.known_task.steps_drawn_together if self.config.length_grouping and not self.packing else 1

    @property
    def processes(self) -> int:
        return self.config.processes

    @property
    def rows_per_step(self) -> int:
        return self.config.batch_size * self.config.gradient_accumulation

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.train) / self.rows_per_step)

    @property
    def total_steps(self) -> int:
        assert self.config.epochs is not None, "a plan has decided"
        return math.ceil(self.config.epochs * self.steps_per_epoch)


def describe(plan: Plan, model: PreTrainedModel) -> dict[str, Any]:
    """Return every hyperparameter as used."""
    return {
        **plan.config.model_dump(mode="json"),
        **plan.placement.as_record(),
        "base_dropout": plan.config.keeps_base_dropout,
        "packing": plan.packing or packs_rows(model, plan.config, plan.placement.device),
        "micro_batch": plan.micro_batch,
        "gradient_accumulation": math.ceil(plan.rows_per_step / plan.processes / plan.micro_batch),
        "rows_per_step": plan.rows_per_step,
        "steps_per_epoch": plan.steps_per_epoch,
        "total_steps": plan.total_steps,
        **plan.objective.facts(),
        "chosen_by_rows": list(plan.chosen_by_rows),
    }


def make_plan(config: TrainingConfig, data: PreprocessingOutput, context: Context) -> Plan:
    """Return what is to be done, with the rows in memory.

    Raises:
        InvalidData: there is nothing to learn from the training rows, or they are of another task, or have no such
            `positive_label`.
    """
    if data.task != config.task:
        raise InvalidData(
            f"The rows were made for the task '{data.task}', the training's is '{config.task}'.",
            cure="Set the same `task` in the configs of preprocessing and training.",
        )
    target = config.known_task.target
    train, validation = (
        read_rows(context.objects, data.splits[name], context.work_dir, target=target)
        for name in ("train", "validation")
    )
    decided = chosen(config, len(train))
    if decided:
        context.log("chosen_by_rows", rows=len(train), **decided)
    config = config.model_copy(update=decided)
    return Plan(
        config=config,
        chosen_by_rows=tuple(sorted(decided)),
        placement=choose_placement(config),
        micro_batch=micro_batch_after(config.batch_size, context.attempt_notes.get("out_of_memory", 0)),
        objective=make_objective(config, data, train),
        train=train,
        validation=validation,
    )


def fitted(plan: Plan, model: Path, context: Context) -> Plan:
    """Return the plan with as many rows at once as fit into the memory that is free, and log what it will need.

    Raises:
        InvalidSpec: not even one row fits; settings that would are named. Or there are fewer GPUs than processes.
        NoSpace: the model could not be written at the end.
    """
    check_processes(plan.processes, plan.placement)
    shape = ModelShape.read(model_folder(model, context.sources.cache_dir))
    check_disk(shape, plan.config, context.work_dir)
    load = Load(
        rows=plan.micro_batch,
        tokens=int(plan.train.lengths.max()),
        bytes_per_value=2 if plan.placement.autocast else 4,
        predicts_tokens=plan.config.known_task.kind == "decoder",
        on_cpu=plan.placement.device.type == "cpu",
    )
    free = free_bytes(plan.placement.device)
    if plan.placement.device.type == "cpu":
        free //= plan.processes
    elif context.device_mib is not None:
        # The rest is free for others, who may not use yet what they have reserved.
        free = min(free, context.device_mib << 20)
    rows, need = choose_micro_batch(shape, plan.config, load, free)
    level = "info" if rows == plan.micro_batch else "warning"
    written = {"disk_mib": disk_bytes(shape, plan.config) >> 20}
    context.log("memory_estimate", level=level, micro_batch=rows, free_mib=free >> 20, **need.as_record(), **written)
    return replace(plan, micro_batch=rows)


def identity(config: TrainingConfig, data: PreprocessingOutput, model_fingerprint: str) -> dict[str, Any]:
    """Return what a checkpoint is bound to: resuming it under anything else would be another training."""
    return {
        "config": config.model_dump(mode="json", exclude=FREE_HYPERPARAMETERS),
        "model": model_fingerprint,
        "labels": data.labels,
        "prompt": data.prompt.fingerprint if data.prompt else None,
        "splits": {name: data.splits[name].rows.sha256 for name in ("train", "validation")},
    }
