"""Which of several trainings is judged: the best on the validation split, never on the test split."""

import math
from dataclasses import dataclass

from agents.base.agent import Context
from agents.base.errors import Diverged, InvalidSpec
from agents.metrics.ranking import rank
from agents.tasks import TASKS
from agents.training.types import TrainingOutput


@dataclass(frozen=True)
class Choice:
    """A training and what it was chosen by."""

    node: str
    training: TrainingOutput
    chosen_by: str | None = None
    """The validation figure that decided; None: there was only this training."""
    candidates: dict[str, float] | None = None
    """Node -> that figure."""
    diverged: dict[str, str] | None = None
    """Node -> why a training has no weights."""


def best_training(context: Context) -> Choice:
    """Return the training with the best validation figure; of equal ones that with the lower validation loss.

    The figure is what the trainings chose their own best weights by, where all did by the same; else F1 of
    classifiers and the loss of decoders.

    Raises:
        InvalidSpec: no training stands before this node, or trainings of several tasks do.
        Diverged: all of them have left the numbers.
    """
    everyone = {
        given.node: TrainingOutput.model_validate(given.output) for given in context.inputs if given.agent == "training"
    }
    if not everyone:
        raise InvalidSpec(f"Node '{context.node}' needs a node of agent 'training' before it.")
    diverged = {node: training.diverged for node, training in everyone.items() if training.diverged}
    for node, why in diverged.items():
        context.log("training_left_out", level="warning", training=node, message=why)
    found = {node: training for node, training in everyone.items() if node not in diverged}
    if not found:
        listed = " ".join(f"{node}: {why}" for node, why in diverged.items())
        raise Diverged(f"No training has weights to judge. {listed}", cure="Lower the learning rates of the sweep.")
    if len({training.task for training in found.values()}) > 1:
        raise InvalidSpec("The trainings before this node are of several tasks, which no figure compares.")
    metric = deciding_metric(list(found.values()))
    figure = f"validation_{metric}"
    node = max(found, key=lambda name: rank(found[name].metrics, metric, prefix="validation_"))
    if len(everyone) == 1:
        return Choice(node, found[node])
    candidates = {
        name: training.metrics[figure]
        for name, training in found.items()
        if math.isfinite(training.metrics.get(figure, math.nan))
    }
    context.log("training_chosen", node=node, chosen_by=figure, candidates=candidates)
    return Choice(node, found[node], figure, candidates, diverged)


def deciding_metric(trainings: list[TrainingOutput]) -> str:
    """Return the name of the validation metric that compares trainings of one task."""
    wanted = {training.resolved.get("metric") for training in trainings}
    shared = wanted.pop() if len(wanted) == 1 else None
    return str(shared or TASKS[trainings[0].task].validation_metrics[0])
