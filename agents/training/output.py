"""What a training hands on: its output, put together from what it was to do, what it saw and what it made."""

from dataclasses import dataclass
from typing import Any

from agents.base.records import Artifact
from agents.metrics.classification import positive_label
from agents.preprocessing.types import PreprocessingOutput
from agents.training.plan import Plan, TrainState
from agents.training.types import TrainingConfig, TrainingOutput


@dataclass(frozen=True)
class Made:
    """What is in the object store after a training, and the sizes of the model that it is about."""

    files: dict[str, Artifact]
    curve: Artifact
    events: dict[str, Artifact]
    """TensorBoard's files by name, where it was asked for."""
    resolved: dict[str, Any]
    """Every hyperparameter as used."""
    base_fingerprint: str
    trained: int
    """Parameters that were trained, of `total`."""
    total: int


def output_of(
    plan: Plan, data: PreprocessingOutput, state: TrainState, made: Made, diverged: str | None = None
) -> TrainingOutput:
    """Return the output of a training that came to its end, or of a sweep's member that left the numbers: why."""
    config = plan.config
    return TrainingOutput(
        files=made.files,
        method=config.method,
        task=config.task,
        base_model=config.model,
        base_model_fingerprint=made.base_fingerprint,
        tokenizer_fingerprint=data.tokenizer_fingerprint,
        labels=data.labels,
        positive_label=_positive_label(config, data),
        prompt=data.prompt,
        max_tokens=data.max_tokens,
        seed=config.seed,
        trainable_parameters=made.trained,
        total_parameters=made.total,
        steps=state.step,
        metrics=state.metrics(),
        curve=made.curve,
        resolved=made.resolved,
        events=made.events,
        diverged=diverged,
    )


def _positive_label(config: TrainingConfig, data: PreprocessingOutput) -> str | None:
    if not config.known_task.knows("positive_label"):
        return None
    return positive_label(config.positive_label, data.labels)
