"""What evaluation is told and gives."""

from typing import Literal

from pydantic import Field

from agents.base.names import Digest, FileName
from agents.base.records import Artifact, Config, Output
from agents.metrics.compared import Compared
from agents.metrics.types import Calibration, Reference, Threshold
from agents.tasks import BaselineName, MetricName
from agents.training.types import TrainingOutput

Verdict = Literal["PROMOTE", "HOLD", "REJECT"]


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
    test_sha256: Digest
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
    """Between which bounds `metric` lies with 95 % confidence; it always holds the metric itself."""
    threshold: Threshold | None = None
    """Only of two labels, and where the validation split has both."""
    thresholds: dict[str, float] = {}
    """Of several labels: label -> the probability from which on it is given, chosen on the validation split."""
    intervals: dict[str, tuple[float, float]] = {}
    """Further figures -> the middle 95 % of their bootstrap."""
    calibration: Calibration | None = None
    """Only of classifiers, and where there are enough validation rows."""
    report: Artifact | None = None
    """JSON: `metrics`, `confusion`, `threshold`, and the points of `roc`, `calibration` and `loss`."""
    pictures: dict[FileName, Artifact] = {}
    """`confusion.svg`, `roc.svg`, `reliability.svg`, `loss.svg`, and each as `.png`; those that there is data for."""
    reference: Reference | None = None
    """Only of classifiers."""
    chosen_by: str | None = None
    """With several trainings: the validation figure that decided."""
    candidates: dict[str, float] = {}
    """With several trainings: node -> that figure."""
    diverged: dict[str, str] = {}
    """With several trainings: node -> why it has no weights that could be judged."""
    warnings: list[str] = []
    """Figures that contradict each other, as sentences; they are among the reasons too."""
    compared: dict[str, Compared] = {}
    """With `must_beat`: baseline -> the comparison."""


class EvaluationConfig(Config):
    """What is measured, and what a model must show to be promoted."""

    metric: MetricName | None = None
    """Unset: the task's own, which is f1 of classifiers and exact_match of answers."""
    minimum: float = Field(0.85, ge=0, le=1)
    """What the lower bound of the metric's interval must reach."""
    margin: float = Field(0.01, ge=0, le=1)
    """How much worse than the champion, with 95 % confidence, still counts as not worse."""
    recall_floors: dict[str, float] = {}
    """Label -> recall that it must reach."""
    must_beat: list[BaselineName] = []
    """Baselines that the model must be shown to be better than."""
    model_name: FileName | None = None
    """Whose champion to compare with; unset: the model that the export after this node writes."""
    positive_label: str | None = None
    """The label that F1, precision and recall are about; unset: the training's, of three labels and more the mean."""
    batch_size: int = Field(64, ge=1)
