"""A task of one's own: one module, which is this one, and one registration; from rows to a served answer.

The task is ordinal: labels are numbers, a model learns the number that is expected by its probabilities, and is judged
by how near it comes. Rows and serving are those of classification.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from transformers import PreTrainedModel

from agents.data.batches import Batch, Rows
from agents.dataset import DatasetAgent
from agents.dataset.types import DatasetConfig
from agents.evaluation import EvaluationAgent
from agents.evaluation.types import EvaluationConfig
from agents.export import ExportAgent
from agents.export.types import ExportConfig
from agents.models.classifiers.base import Prediction
from agents.models.classifiers.torch import LoadedClassifier
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.types import PreprocessingConfig, PreprocessingOutput
from agents.tasks import TASKS
from agents.tasks.classification import CLASSIFICATION
from agents.tasks.classification.golden import GoldenTexts
from agents.tasks.classification.measure import LabelMeasure
from agents.tasks.classification.objective import class_logits
from agents.tasks.measure import Measured
from agents.tasks.objective import Objective
from agents.training import TrainingAgent
from agents.training.types import TrainingConfig
from app.serving.main import create_app
from app.wiring import Parts
from tests.conftest import AgentBench
from tests.support.planned import PLANNED_EXPORT

# -- the module ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nearness(Objective):
    """The squared distance of the expected number from the right one. `values`: float32 of shape (labels,)."""

    values: torch.Tensor

    def weight(self, rows: Rows, parts: Sequence[np.ndarray]) -> float:
        return float(sum(map(len, parts)))

    def loss(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.float()
        return self._squares(logits, batch.targets).sum()

    def score(self, model: PreTrainedModel, rows: Rows, *, batch_size: int, autocast: bool) -> dict[str, float]:
        logits = class_logits(model, rows, batch_size=batch_size, autocast=autocast)
        loss = float(self._squares(logits, torch.from_numpy(rows.targets)).mean())
        return {"loss": loss, "nearness": 1 / (1 + loss)}

    def _squares(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (logits.softmax(dim=-1) @ self.values - self.values[targets]).square()


def make_objective(config: TrainingConfig, data: PreprocessingOutput, train: Rows) -> Nearness:
    return Nearness(torch.tensor([float(label) for label in data.labels]))


class NearnessMeasure(LabelMeasure):
    def measure(self, model: LoadedClassifier, *, done: int) -> Measured:
        found = super().measure(model, done=done)
        values = np.array([float(label) for label in model.labels])
        assert found.scores is not None
        distances = np.abs(found.scores @ values - values[self.test.labels])

        def nearness(metric: str, rows: np.ndarray) -> float:
            return float(1 / (1 + distances[rows].mean()))

        metrics = {**found.metrics, "nearness": nearness("nearness", np.arange(self.row_count))}
        return Measured(nearness, metrics, found.rows, confusion=found.confusion, scores=found.scores)


class NearnessGolden(GoldenTexts):
    def value(self, answers: Sequence[Prediction]) -> float | None:
        distances = [abs(float(one.label) - float(self.training.labels[true])) for one, true in self.labelled(answers)]
        return float(1 / (1 + np.mean(distances)))


ORDINAL = CLASSIFICATION.model_copy(
    update={
        "name": "ordinal",
        "metrics": ("nearness",),
        "validation_metrics": ("nearness", "loss"),
        "objective": f"{__name__}:make_objective",
        "measure": f"{__name__}:NearnessMeasure",
        "golden": f"{__name__}:NearnessGolden",
    }
)

# -- the proof -------------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one registration."""
    monkeypatch.setitem(TASKS, "ordinal", ORDINAL)


ROWS = "".join(
    f'{{"text": "{word} lamp number {number}", "label": "{stars}"}}\n'
    for number in range(24)
    for stars, word in (("1", "awful"), ("2", "fine"), ("3", "superb"))
)


def test_a_task_of_ones_own_goes_from_rows_to_a_served_answer(
    registered: None, bench: AgentBench, parts: Parts, small_model: Path, rows_file: Callable[..., Path], tmp_path: Path
) -> None:
    bench.objects, bench.roots = parts.objects, (*bench.roots, tmp_path)
    found = {"dataset": DatasetAgent().run(DatasetConfig(source=str(rows_file(ROWS))), bench.context("dataset", {}))}
    model = str(small_model)
    prepared = PreprocessingConfig(task="ordinal", model=model, dedup="none", max_tokens=16)
    found["preprocessing"] = PreprocessingAgent().run(prepared, bench.context("preprocessing", found))
    training = TrainingConfig(task="ordinal", model=model, epochs=8, learning_rate=5e-3)
    assert training.metric == "nearness"
    found["training"] = TrainingAgent().run(training, bench.context("training", found))
    judged = EvaluationConfig(minimum=0.3)
    found["evaluation"] = EvaluationAgent().run(judged, bench.context("evaluation", found))
    version = parts.registry.reserve("stars", "job_test", PLANNED_EXPORT)
    context = bench.context("export", found, pipeline="stars", version=version)
    exported = ExportAgent().run(ExportConfig(model_name="stars", formats=["adapter", "merged"]), context)

    assert found["training"].metrics["validation_nearness"] > 0
    assert found["evaluation"].metric == "nearness"
    assert exported.parity["merged"].metric == "nearness"
    parts.registry.rebuild()
    parts.registry.promote("stars", version, at=1.0, reason="test", force=True)
    manifest = parts.registry.manifest("stars", version)
    assert (manifest.task, manifest.metric) == ("ordinal", "nearness")

    app = create_app(parts.registry, parts.objects, parts.settings, look_every_s=3600)
    app.state.serving.reconciler.follow()
    with TestClient(app) as serving:
        answer = serving.post("/predict/stars", json={"text": "superb lamp number 99"}).json()
    assert answer["label"] in ("1", "2", "3")
    assert set(answer["scores"]) == {"1", "2", "3"}


def test_what_the_task_does_not_know_is_refused_with_what_it_knows(registered: None) -> None:
    with pytest.raises(ValueError, match="metric: f1 is not of task: ordinal, whose metric is nearness or loss"):
        TrainingConfig(task="ordinal", model="m", metric="f1")
    training = TrainingConfig(task="ordinal", model="m")
    assert EvaluationAgent.check(EvaluationConfig(metric="f1"), {"training": training}) == [
        "metric is 'f1', but 'training' is of task: ordinal"
    ]
    with pytest.raises(ValueError, match=f"'ranking' is not a task; there are {', '.join(TASKS)}"):
        TrainingConfig(task="ranking", model="m")
