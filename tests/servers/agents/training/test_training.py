"""Training on a real (small) model: files, counts, stops, resumes and memory, all through the agent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import InvalidData, InvalidModel, InvalidSpec, StopRequested
from agents.models.memory import USABLE_SHARE, ModelShape
from agents.preprocessing.types import PreprocessingOutput
from agents.training import TrainingAgent
from agents.training.estimate import Load, Need, choose_micro_batch, estimate
from agents.training.types import TrainingConfig, TrainingOutput
from tests.conftest import MINILM, AgentBench
from tests.support.prepared import MINILM_FOLDER, prepare, spam_rows

pytestmark = pytest.mark.slow

SMALL = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "save_steps": 4, "log_steps": 1}


@pytest.fixture
def prepared(bench: AgentBench, small_model: Path) -> PreprocessingOutput:
    """48 training rows, 6 steps an epoch."""
    return prepare(bench.objects, bench.work_dir, spam_rows(), str(small_model), small_model)


@pytest.fixture
def train(bench: AgentBench, prepared: PreprocessingOutput, small_model: Path) -> Callable[..., TrainingOutput]:
    """Run the agent on the prepared rows: `train(node="a", epochs=2, context={"attempt": 2})`."""

    def run(
        node: str = "training",
        context: dict[str, Any] | None = None,
        rows: PreprocessingOutput = prepared,
        **config: Any,
    ) -> TrainingOutput:
        fields = {"checkpoint_prefixes": (f"checkpoints/job_test/{node}",), **(context or {})}
        settings = TrainingConfig(**{"model": str(small_model), **SMALL, **config})
        return TrainingAgent().run(settings, bench.context("training", {"preprocessing": rows}, **fields))

    return run


def losses(bench: AgentBench, output: TrainingOutput) -> dict[int, float]:
    curve = bench.objects.get_json(output.curve)
    return {entry["step"]: entry["loss"] for entry in curve if "loss" in entry}


def stop_after(bench: AgentBench, step: int, kind: str = "pause") -> dict[str, Any]:
    """Context fields of somebody who asks for a stop once `step` was reported; training stops at its own word."""

    def wanted() -> str | None:
        return kind if any(record.get("done") == step for record in bench.records) else None

    return {"wanted_stop": wanted, "stops_at_once": False}


def test_loss_falls_and_the_small_model_learns_its_rows(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    output = train(epochs=6)
    curve = losses(bench, output)
    assert output.steps == 36
    assert list(curve) == list(range(1, 37))
    assert curve[36] < 0.5 * curve[1]
    assert output.metrics["validation_f1"] == 1.0
    assert output.positive_label == "spam"


def test_output_counts_and_files_describe_the_adapter(
    bench: AgentBench, train: Callable[..., TrainingOutput], small_model: Path
) -> None:
    from safetensors.torch import load

    output = train(epochs=1)
    weights = load(bench.objects.get_artifact(output.files["adapter_model.safetensors"]))
    settings = bench.objects.get_json(output.files["adapter_config.json"])
    assert output.trainable_parameters == sum(weight.numel() for weight in weights.values())
    assert any("classifier" in name for name in weights)
    assert settings["base_model_name_or_path"] == str(small_model)
    assert settings["target_modules"] == sorted(settings["target_modules"])
    assert "tokenizer.json" in output.files
    assert all(bench.objects.has_artifact(artifact) for artifact in output.files.values())


def test_saved_adapter_gives_the_validation_score_that_was_reported(
    bench: AgentBench, train: Callable[..., TrainingOutput], prepared: PreprocessingOutput, small_model: Path
) -> None:
    from peft import PeftModel

    from agents.data.batches import read_rows
    from agents.models.loading import load_classifier_base
    from agents.models.quiet import quiet_libraries
    from agents.tasks.classification.objective import score_labels

    output = train(precision="fp32")
    folder = bench.work_dir / "again"
    for name, artifact in output.files.items():
        bench.objects.get_artifact_file(artifact, folder / name)
    base = load_classifier_base(small_model, output.labels, "float32", cache_dir=bench.work_dir, pad_token_id=0)
    with quiet_libraries():
        model = PeftModel.from_pretrained(base, folder)
    rows = read_rows(bench.objects, prepared.splits["validation"], bench.work_dir)
    figures = score_labels(model, rows, batch_size=8, autocast=False, positive=1)
    assert figures["loss"] == pytest.approx(output.metrics["validation_loss"], rel=1e-4)


def test_the_trained_tokenizer_cuts_texts_as_the_rows_were_cut(
    bench: AgentBench, train: Callable[..., TrainingOutput], prepared: PreprocessingOutput
) -> None:
    cut_in_front = prepared.model_copy(update={"truncation_side": "left"})
    for rows, side in ((prepared, "right"), (cut_in_front, "left")):
        output = train(rows=rows, epochs=1)
        written = bench.objects.get_json(output.files["tokenizer_config.json"])
        assert written.get("truncation_side", "right") == side


def test_a_seed_gives_the_same_curve_and_weights_every_time_and_another_seed_others(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    dials = {"epochs": 1, "lora": {"dropout": 0.1}, "base_dropout": True}
    first, again, other = (train(node, seed=seed, **dials) for node, seed in (("a", 5), ("b", 5), ("c", 6)))

    def weights(output: TrainingOutput) -> str:
        return output.files["adapter_model.safetensors"].sha256

    assert losses(bench, again) == losses(bench, first)
    assert weights(again) == weights(first)
    assert losses(bench, other) != losses(bench, first)
    assert weights(other) != weights(first)


@pytest.mark.parametrize("stopped_at", [3, 8])
def test_interrupted_training_equals_an_uninterrupted_one_step_by_step(
    bench: AgentBench, train: Callable[..., TrainingOutput], stopped_at: int
) -> None:
    dials = {"lora": {"dropout": 0.1}, "base_dropout": True}
    whole = train("whole", **dials)
    bench.records.clear()
    with pytest.raises(StopRequested) as stop:
        train("parts", stop_after(bench, stopped_at), **dials)
    assert stop.value.kind == "pause"
    assert bench.events()[-1] == "checkpoint_saved"

    resumed = train("parts", {"attempt": 2}, **dials)

    assert "resumed" in bench.events()
    assert losses(bench, resumed) == losses(bench, whole)
    assert resumed.files["adapter_model.safetensors"].sha256 == whole.files["adapter_model.safetensors"].sha256


def test_a_job_that_continues_another_takes_up_its_newest_checkpoint(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    with pytest.raises(StopRequested):
        train("old", stop_after(bench, 10, "cancel"))
    train("new", {"checkpoint_prefixes": ("checkpoints/new/training", "checkpoints/job_test/old")})
    resumed = next(record for record in bench.records if record.get("event") == "resumed")
    assert resumed["fields"]["step"] == 10
    assert bench.objects.keys("checkpoints/new/training/")


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    with pytest.raises(StopRequested):
        train("torn", stop_after(bench, 10))
    keys = bench.objects.keys("checkpoints/job_test/torn/step_00000010/")
    bench.objects.put(next(key for key in keys if key.endswith("model.safetensors")), b"cut off")
    output = train("torn", {"attempt": 2})
    resumed = next(record for record in bench.records if record.get("event") == "resumed")
    assert "checkpoint_skipped" in bench.events()
    assert resumed["fields"]["step"] == 8
    assert output.steps == 18


def test_a_checkpoint_of_other_dials_is_not_taken_up(bench: AgentBench, train: Callable[..., TrainingOutput]) -> None:
    with pytest.raises(StopRequested):
        train("dials", stop_after(bench, 6))
    train("dials", {"attempt": 2}, learning_rate=0.02)
    assert "resumed" not in bench.events()


def test_only_the_newest_two_checkpoints_stay(bench: AgentBench, train: Callable[..., TrainingOutput]) -> None:
    train("pruned", save_steps=1)
    manifests = [key for key in bench.objects.keys("checkpoints/job_test/pruned/") if key.endswith("manifest.json")]
    assert [key.split("/")[3] for key in manifests] == ["step_00000017", "step_00000018"]


def test_out_of_memory_halves_the_micro_batch_and_learns_the_same(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    whole = train("whole", precision="fp32")
    halved = train("halved", {"attempt_notes": {"out_of_memory": 2}}, precision="fp32")
    assert (halved.resolved["micro_batch"], halved.resolved["gradient_accumulation"]) == (2, 4)
    assert halved.steps == whole.steps
    assert list(losses(bench, halved).values()) == pytest.approx(list(losses(bench, whole).values()), rel=1e-3)


def test_accumulated_micro_batches_weigh_classes_as_the_whole_step_does(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    dials = {"precision": "fp32", "class_weights": "balanced", "label_smoothing": 0.1, "epochs": 1}
    whole, pieces = (
        train("whole", batch_size=8, **dials),
        train("pieces", batch_size=2, gradient_accumulation=4, **dials),
    )
    assert list(losses(bench, pieces).values()) == pytest.approx(list(losses(bench, whole).values()), rel=1e-3)


def test_full_training_gives_a_whole_model_that_loads_by_itself(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    from agents.models.loading import load_classifier_base

    output = train(method="full", epochs=1)
    folder = bench.work_dir / "again"
    for name, artifact in output.files.items():
        bench.objects.get_artifact_file(artifact, folder / name)
    model = load_classifier_base(folder, output.labels, "float32", cache_dir=bench.work_dir)
    assert output.trainable_parameters == output.total_parameters == model.num_parameters()
    assert json.loads((folder / "config.json").read_text())["id2label"] == {"0": "ham", "1": "spam"}


def test_qlora_trains_a_float_adapter_over_a_base_in_four_bits(
    bench: AgentBench, train: Callable[..., TrainingOutput]
) -> None:
    output = train(method="qlora", epochs=4)
    curve = losses(bench, output)
    assert "adapter_model.safetensors" in output.files
    assert output.trainable_parameters < output.total_parameters
    assert curve[24] < curve[1]


def test_early_stopping_keeps_the_best_weights(bench: AgentBench, train: Callable[..., TrainingOutput]) -> None:
    output = train(epochs=30, early_stopping_patience=2)
    curve = bench.objects.get_json(output.curve)
    scores = [(entry["validation_f1"], -entry["validation_loss"]) for entry in curve if "validation_f1" in entry]
    assert output.steps < 30 * 6
    assert output.metrics["validation_f1"] == pytest.approx(max(scores)[0])
    assert output.metrics["validation_loss"] == pytest.approx(-max(scores)[1], abs=1e-5)
    assert output.metrics["best_step"] == 6 * (1 + scores.index(max(scores)))


def test_rows_of_another_tokenizer_are_refused(
    bench: AgentBench, train: Callable[..., TrainingOutput], prepared: PreprocessingOutput
) -> None:
    other = prepared.model_copy(update={"tokenizer_fingerprint": "0" * 64})
    context = bench.context("training", {"preprocessing": other})
    with pytest.raises(InvalidData, match="tokenizer"):
        TrainingAgent().run(TrainingConfig(model=MINILM), context)


def test_a_module_that_the_model_lacks_is_named(train: Callable[..., TrainingOutput]) -> None:
    with pytest.raises(InvalidSpec, match="no_such_layer"):
        train(lora={"target_modules": ["no_such_layer"]})
    with pytest.raises(InvalidSpec, match="no_such_module"):
        train(lora={"train_modules": ["no_such_module"]})


def test_a_positive_label_that_no_row_has_is_refused(train: Callable[..., TrainingOutput]) -> None:
    with pytest.raises(InvalidData, match="'junk', but the rows have ham, spam"):
        train(positive_label="junk")


def test_the_shipped_base_trains_at_most_a_fortieth_of_its_parameters(bench: AgentBench) -> None:
    prepared = prepare(bench.objects, bench.work_dir, spam_rows(16, 8), MINILM, MINILM_FOLDER)
    output = TrainingAgent().run(
        TrainingConfig(model=MINILM, epochs=1), bench.context("training", {"preprocessing": prepared})
    )
    assert output.trainable_parameters / output.total_parameters <= 0.025
    assert output.base_model == MINILM


def test_a_folder_whose_weights_belong_to_another_model_is_refused(bench: AgentBench, small_model: Path) -> None:
    from agents.models.loading import load_classifier_base

    folder = bench.work_dir / "mixed"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes((small_model / "config.json").read_bytes())
    settings = json.loads((MINILM_FOLDER / "config.json").read_text())
    settings["num_hidden_layers"] = 9
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "model.safetensors").symlink_to(MINILM_FOLDER / "model.safetensors")
    with pytest.raises(InvalidModel, match=r"layer\.6"):
        load_classifier_base(folder, ["a", "b"], "float32", cache_dir=bench.work_dir)


def test_rows_are_cut_to_the_memory_that_is_free_and_the_steps_stay_the_same(
    train: Callable[..., TrainingOutput], bench: AgentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(node="roomy", precision="fp32")

    def with_a_byte_too_little(shape: ModelShape, config: TrainingConfig, load: Load, _free: int) -> tuple[int, Need]:
        return choose_micro_batch(shape, config, load, int((estimate(shape, config, load).total - 1) / USABLE_SHARE))

    monkeypatch.setattr("agents.training.plan.choose_micro_batch", with_a_byte_too_little)
    tight = train(node="tight", precision="fp32")

    assert (whole.resolved["micro_batch"], tight.resolved["micro_batch"]) == (8, 4)
    assert tight.steps == whole.steps
    assert list(losses(bench, tight).values()) == pytest.approx(list(losses(bench, whole).values()), rel=1e-3)


def test_what_is_reserved_on_a_gpu_covers_what_the_rows_will_need(
    bench: AgentBench, prepared: PreprocessingOutput, small_model: Path
) -> None:
    config = TrainingConfig(model=str(small_model), batch_size=8, processes=2)
    context = bench.context("training", {"preprocessing": prepared})
    need = TrainingAgent().device_need(config, context)
    load = Load(rows=8, tokens=prepared.max_tokens, bytes_per_value=4, predicts_tokens=False)

    assert need.count == 2
    assert need.mib
    # A gibibyte is CUDA's own.
    rows, _ = choose_micro_batch(ModelShape.read(small_model), config, load, (need.mib - 1024 + 1) << 20)
    assert rows == 8


def test_a_training_that_can_not_fit_is_refused_before_the_model_is_loaded(
    train: Callable[..., TrainingOutput], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.training.plan.free_bytes", lambda _: 1 << 20)
    with pytest.raises(InvalidSpec, match=r"needs about .* GB for a single row of \d+ tokens"):
        train()
