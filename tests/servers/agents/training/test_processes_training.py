"""A training over two processes: the losses of one, stops and resumes as one, and a lost process fails the attempt."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.base.errors import StopRequested, WorkerLost
from agents.preprocessing.types import PreprocessingOutput
from agents.training import TrainingAgent
from agents.training.types import TrainingConfig, TrainingOutput
from tests.conftest import AgentBench
from tests.support.prepared import prepare, spam_rows

pytestmark = pytest.mark.slow

TWO = {"processes": 2, "epochs": 2, "batch_size": 8, "learning_rate": 0.01, "save_steps": 4, "log_steps": 1}


@pytest.fixture
def prepared(bench: AgentBench, small_model: Path) -> PreprocessingOutput:
    """48 training rows, 6 steps an epoch."""
    return prepare(bench.objects, bench.work_dir, spam_rows(), str(small_model), small_model)


@pytest.fixture
def train(bench: AgentBench, prepared: PreprocessingOutput, small_model: Path) -> Callable[..., TrainingOutput]:
    def run(node: str = "training", context: dict[str, Any] | None = None, **config: Any) -> TrainingOutput:
        fields = {
            "checkpoint_prefixes": (f"checkpoints/job_test/{node}",),
            "stops_at_once": False,
            **(context or {}),
        }
        settings = TrainingConfig(**{"model": str(small_model), **TWO, **config})
        return TrainingAgent().run(settings, bench.context("training", {"preprocessing": prepared}, **fields))

    return run


def losses(bench: AgentBench, output: TrainingOutput) -> list[float]:
    return [entry["loss"] for entry in bench.objects.get_json(output.curve) if "loss" in entry]


def followers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "agents.training.follower" in command_of(child)]


def command_of(process: psutil.Process) -> list[str]:
    # Of a process that ended a moment ago there is none.
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def at_step(bench: AgentBench, step: int) -> bool:
    return any(record.get("done") == step for record in bench.records)


def test_two_processes_learn_what_one_does(bench: AgentBench, train: Callable[..., TrainingOutput]) -> None:
    dials = {"precision": "fp32", "class_weights": "balanced"}
    one, two = train("one", processes=1, **dials), train("two", **dials)
    assert losses(bench, two) == pytest.approx(losses(bench, one), rel=1e-3)
    assert two.metrics["validation_loss"] == pytest.approx(one.metrics["validation_loss"], rel=1e-3)
    assert two.resolved["processes"] == 2
    assert followers() == []


def test_an_interrupted_training_of_two_equals_an_uninterrupted_one(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    dials = {"lora": {"dropout": 0.1}}
    whole = train("whole", **dials)
    bench.records.clear()
    with pytest.raises(StopRequested):
        train("parts", {"wanted_stop": lambda: "pause" if at_step(bench, 5) else None}, **dials)
    assert bench.events()[-1] == "checkpoint_saved"
    assert followers() == []

    resumed = train("parts", {"attempt": 2}, **dials)

    assert "resumed" in bench.events()
    assert losses(bench, resumed) == losses(bench, whole)
    assert resumed.files["adapter_model.safetensors"].sha256 == whole.files["adapter_model.safetensors"].sha256


def test_a_killed_process_fails_the_attempt_and_the_next_goes_on_from_the_checkpoint(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    def kill_the_follower() -> None:
        if at_step(bench, 6):
            for process in followers():
                os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(WorkerLost, match="process 1 ended by itself") as fault:
        train("killed", {"wanted_stop": kill_the_follower})
    assert fault.value.retryable
    assert followers() == []

    again = train("killed", {"attempt": 2})

    resumed = next(record for record in bench.records if record.get("event") == "resumed")
    assert resumed["fields"]["step"] == 6
    assert again.steps == 12


def test_a_process_that_can_not_start_fails_the_attempt(
    bench: AgentBench, train: Callable[..., TrainingOutput], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.training.work.follower_task", lambda *_: {})
    with pytest.raises(WorkerLost, match="KeyError"):
        train("never")
    assert followers() == []
