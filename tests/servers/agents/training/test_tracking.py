"""Training figures in trackers: TensorBoard's files, a real MLflow server, W&B offline; and none of them there."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.training import TrainingAgent
from agents.training.tracking import Trackers
from agents.training.types import TrainingConfig, TrainingOutput
from app.processes.embedded import free_port
from tests.conftest import AgentBench
from tests.support.prepared import prepare, spam_rows

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
EVERY = {"loss", "learning_rate", "grad_norm", "tokens_per_s", "memory_mib", "eta_s", "validation_loss"}


@pytest.fixture
def train(bench: AgentBench, small_model: Path) -> Callable[..., TrainingOutput]:
    prepared = prepare(bench.objects, bench.work_dir, spam_rows(), str(small_model), small_model)

    def run(**config: Any) -> TrainingOutput:
        settings = TrainingConfig(
            **{"model": str(small_model), "epochs": 1, "batch_size": 8, "log_steps": 1, "precision": "fp32", **config}
        )
        return TrainingAgent().run(settings, bench.context("training", {"preprocessing": prepared}))

    return run


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """Address of a real server, with SQLite in a temporary folder."""
    import requests

    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", str(tmp_path)]
    log = tmp_path / "mlflow.log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            try:
                if requests.get(f"{address}/health", timeout=2).ok:
                    break
            except requests.RequestException:
                assert server.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < end, log.read_text()[-2000:]
                time.sleep(0.2)
        yield address
    finally:
        end_group(server)


def end_group(server: "subprocess.Popen[bytes]") -> None:
    import os
    import signal

    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def test_tensorboard_files_are_kept_in_the_store_and_hold_the_curve(
    bench: AgentBench, train: Callable[..., TrainingOutput], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    output = train(report_to=["tensorboard"])
    for name, artifact in output.events.items():
        bench.objects.get_artifact_file(artifact, tmp_path / "events" / name)
    events = EventAccumulator(str(tmp_path / "events" / "job_test-training-1"))
    events.Reload()
    curve = bench.objects.get_json(output.curve)
    assert set(events.Tags()["scalars"]) >= EVERY
    written = [(event.step, event.value) for event in events.Scalars("loss")]
    expected = [(entry["step"], pytest.approx(entry["loss"], rel=1e-6)) for entry in curve if "loss" in entry]
    assert written == expected
    assert not set(output.events) & set(output.files)


@pytest.mark.parametrize("value", ["/../../../../outside, \x00", "x" * 300, "café\n\ud800"])
def test_tensorboard_files_stay_in_the_work_folder_whatever_the_node_is_called(
    bench: AgentBench, tmp_path: Path, value: str
) -> None:
    context = bench.context("training", node=f"training[source={value}]")
    trackers = Trackers(["tensorboard"], context, {"epochs": 1})
    trackers.send(1, {"loss": 0.5})
    trackers.close()

    assert trackers.artifacts()
    assert "tracker_failed" not in bench.events()
    assert not [path for path in tmp_path.rglob("*tfevents*") if not path.is_relative_to(bench.work_dir)]


def test_mlflow_has_the_runs_dials_and_every_figure(
    bench: AgentBench, train: Callable[..., TrainingOutput], mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    from mlflow import MlflowClient

    output = train(report_to=["mlflow"])
    client = MlflowClient(mlflow_server)
    experiment = client.get_experiment_by_name("spam")
    assert "tracker_failed" not in bench.events(), bench.records
    (run,) = client.search_runs([experiment.experiment_id])
    losses = {entry["step"]: entry["loss"] for entry in bench.objects.get_json(output.curve) if "loss" in entry}
    assert run.info.status == "FINISHED"
    assert run.data.tags["job"] == "job_test"
    assert run.data.params["lora.r"] == "8"
    assert set(run.data.metrics) >= EVERY
    assert {m.step: m.value for m in client.get_metric_history(run.info.run_id, "loss")} == pytest.approx(losses)


def test_wandb_writes_its_run_offline(
    bench: AgentBench, train: Callable[..., TrainingOutput], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    # A process of its own must start, also on a machine that is busy.
    monkeypatch.setenv("WANDB__SERVICE_WAIT", "120")
    train(report_to=["wandb"])
    assert "tracker_failed" not in bench.events(), bench.records
    (written,) = bench.work_dir.rglob("run-*.wandb")
    assert b"validation_loss" in written.read_bytes()


def test_a_tracker_that_is_away_is_said_so_and_fails_nothing(
    bench: AgentBench, train: Callable[..., TrainingOutput], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    unset = train(report_to=["mlflow"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = train(report_to=["mlflow", "tensorboard"])
    reasons = [record["fields"]["reason"] for record in bench.records if record.get("event") == "tracker_failed"]
    assert "MLFLOW_TRACKING_URI is not set" in reasons[0]
    assert len(reasons) == 2
    # The other one has all of it, and what was learned is the same.
    assert away.events
    assert away.files["adapter_model.safetensors"] == unset.files["adapter_model.safetensors"]
