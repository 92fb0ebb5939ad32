"""Which of several trainings is judged: the best on the validation split, never on the test split."""

from dataclasses import dataclass

from agents.base.agent import Context
from agents.base.errors import InvalidSpec
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


def best_training(context: Context) -> Choice:
    """Return the training with the best validation figure; of equal ones that with the lower validation loss.

    The figure is what the trainings chose their own best weights by, where all did by the same; else F1 of
    classifiers and the loss of decoders.

    Raises:
        InvalidSpec: no training stands before this node, or trainings of several tasks do.
    """
    found = {
        given.node: TrainingOutput.model_validate(given.output) for given in context.inputs if given.agent == "training"
    }
    if not found:
        raise InvalidSpec(f"Node '{context.node}' needs a node of agent 'training' before it.")
    if len({training.task for training in found.values()}) > 1:
        raise InvalidSpec("The trainings before this node are of several tasks, which no figure compares.")
    metric = deciding_metric(list(found.values()))
    figure = f"validation_{metric}"
    node = max(found, key=lambda name: rank(found[name].metrics, metric, prefix="validation_"))
    if len(found) == 1:
        return Choice(node, found[node])
    candidates = {name: training.metrics[figure] for name, training in found.items() if figure in training.metrics}
    context.log("training_chosen", node=node, chosen_by=figure, candidates=candidates)
    return Choice(node, found[node], figure, candidates)


def deciding_metric(trainings: list[TrainingOutput]) -> str:
    """Return the name of the validation metric that compares trainings of one task."""
    wanted = {training.resolved.get("metric") for training in trainings}
    shared = wanted.pop() if len(wanted) == 1 else None
    return str(shared or TASKS[trainings[0].task].validation_metrics[0])
