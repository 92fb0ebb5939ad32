"""What evaluation is told and gives."""

from typing import Literal

from pydantic import Field

from agents.base.records import Artifact, Config, Output, Record
from agents.tasks import MetricName
from agents.training.types import TrainingOutput

Verdict = Literal["PROMOTE", "HOLD", "REJECT"]


class Threshold(Record):
    """A probability of the positive label from which on a binary classifier would say it, chosen on the validation
    split by F1. A finding only: every runtime answers with the likelier label, which is a threshold of 0.5."""

    label: str
    value: float
    validation_rows: int
    validation_f1: float
    validation_f1_at_half: float
    test: dict[str, float]
    """`accuracy`, `precision`, `recall`, `f1` of the test split as they would be with it."""


#: Formats of one version differ in further digits, and many confidences lie close to 1.
CONFIDENCE_DIGITS = 2


class Histogram(Record):
    """`counts[i]` values lie at or above `edges[i - 1]` and below `edges[i]`; there is one count more than edges."""

    edges: list[float]
    counts: list[int]


class Reference(Record):
    """What a classifier's predictions on the test split were like, for serving to tell drift by."""

    rows: int
    labels: dict[str, int]
    """Label -> how many rows were given it."""
    confidence: Histogram
    """Rounded to `CONFIDENCE_DIGITS`."""
    length: Histogram
    """Characters of the cleaned text."""


class EvaluationOutput(Output):
    training_node: str
    """The node whose model was judged: with several trainings the best by validation score."""
    training: TrainingOutput
    """What is judged, whole, so that export needs nothing else."""
    model_name: str
    metrics: dict[str, float]
    """`accuracy`, `precision`, `recall`, `f1`, `macro_f1` ..., or `exact_match`, `json_validity`, `loss`,
    `perplexity`, on the test split."""
    metric: str
    minimum: float
    confusion: list[list[int]]
    """Rows are the true labels, columns the predicted ones, in the order of `labels`; empty for sft."""
    test_sha256: str
    test_rows: int
    predictions: Artifact
    """JSON list of `{"row", "label", "predicted", "confidence"}` of the test split; of sft
    `{"row", "prompt", "expected", "answer", "exact_match"}`."""
    champion_version: int | None
    champion_metrics: dict[str, float] | None
    """The champion scored again on this same test split."""
    verdict: Verdict
    reasons: list[str]
    positive_label: str | None = None
    """The label that `precision`, `recall`, `f1` and `threshold` are about; none for sft."""
    metric_interval: tuple[float, float] | None = None
    """Of `metric`: the middle 95 % of the bootstrap over the test rows."""
    threshold: Threshold | None = None
    """Only of two labels, and where the validation split has both."""
    report: Artifact | None = None
    """JSON: `metrics`, `confusion`, `threshold`, and the points of `roc`, `calibration` and `loss`."""
    pictures: dict[str, Artifact] = {}
    """`confusion.svg`, `roc.svg`, `reliability.svg`, `loss.svg`, and each as `.png`; those that there is data for."""
    reference: Reference | None = None
    """Only of classifiers."""
    chosen_by: str | None = None
    """With several trainings: the validation figure that decided."""
    candidates: dict[str, float] = {}
    """With several trainings: node -> that figure."""


class EvaluationConfig(Config):
    """What is measured, and what a model must show to be promoted."""

    metric: MetricName | None = None
    """Unset: the task's own, which is f1 of classifiers and exact_match of answers."""
    minimum: float = Field(0.85, ge=0, le=1)
    margin: float = Field(0.01, ge=0, le=1)
    """How much worse than the champion, with 95 % confidence, still counts as not worse."""
    recall_floors: dict[str, float] = {}
    """Label -> recall that it must reach."""
    model_name: str | None = None
    """Whose champion to compare with; unset: the model that the export after this node writes."""
    positive_label: str | None = None
    """The label that F1, precision and recall are about; unset: the training's, of three labels and more the mean."""
    batch_size: int = Field(64, ge=1)
