"""Training a small decoder to answer: the loss is of answers alone, however it is cut, stopped and taken up again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import InvalidData, InvalidModel, StopRequested
from agents.preprocessing.types import PreprocessingOutput
from agents.training import TrainingAgent
from agents.training.types import TrainingConfig, TrainingOutput
from tests.conftest import AgentBench
from tests.support.decoders import prepare_answers
from tests.support.prepared import MINILM_FOLDER

pytestmark = pytest.mark.slow

SMALL = {"task": "sft", "epochs": 2, "batch_size": 8, "learning_rate": 0.01, "save_steps": 4, "log_steps": 1}


@pytest.fixture
def prepared(bench: AgentBench, tiny_decoder: Path) -> PreprocessingOutput:
    """48 training rows, 6 steps an epoch."""
    return prepare_answers(bench, tiny_decoder, 60)


@pytest.fixture
def train(bench: AgentBench, prepared: PreprocessingOutput, tiny_decoder: Path) -> Callable[..., TrainingOutput]:
    """Run the agent on the prepared rows: `train(node="a", epochs=2, context={"attempt": 2})`."""

    def run(node: str = "training", context: dict[str, Any] | None = None, **config: Any) -> TrainingOutput:
        fields = {"checkpoint_prefixes": (f"checkpoints/job_test/{node}",), **(context or {})}
        settings = TrainingConfig(**{"model": str(tiny_decoder), **SMALL, **config})
        return TrainingAgent().run(settings, bench.context("training", {"preprocessing": prepared}, **fields))

    return run


def losses(bench: AgentBench, output: TrainingOutput) -> list[float]:
    return [entry["loss"] for entry in bench.objects.get_json(output.curve) if "loss" in entry]


def stop_after(bench: AgentBench, step: int) -> dict[str, Any]:
    def wanted() -> str | None:
        return "pause" if any(record.get("done") == step for record in bench.records) else None

    return {"wanted_stop": wanted, "stops_at_once": False}


@pytest.mark.parametrize("method", ["lora", "full", "qlora"])
def test_a_decoder_learns_its_answers(bench: AgentBench, train: Callable[..., TrainingOutput], method: str) -> None:
    output = train(method=method, epochs=4)
    curve = losses(bench, output)
    assert curve[-1] < curve[0] - 0.3
    assert output.metrics["validation_loss"] > 0
    assert output.metrics["validation_perplexity"] > 1
    assert "validation_f1" not in output.metrics
    assert (output.labels, output.positive_label, output.resolved["metric"]) == ([], None, "loss")
    assert output.prompt is not None


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_weight_decomposed_adapter_learns_too(
    bench: AgentBench, train: Callable[..., TrainingOutput], method: str
) -> None:
    plain = train("plain", method=method, epochs=1)
    output = train("decomposed", method=method, epochs=4, lora={"dora": True, "rslora": True})
    settings = bench.objects.get_json(output.files["adapter_config.json"])
    assert (settings["use_dora"], settings["use_rslora"]) == (True, True)
    # One more number for each output of each adapted module.
    assert output.trainable_parameters > plain.trainable_parameters
    assert losses(bench, output)[-1] < losses(bench, output)[0] - 0.3


def test_packed_rows_teach_what_rows_of_their_own_do(bench: AgentBench, train: Callable[..., TrainingOutput]) -> None:
    dials = {"precision": "fp32", "label_smoothing": 0.1, "length_grouping": False}
    alone, together = train("alone", packing=False, **dials), train("together", packing=True, **dials)
    assert (alone.resolved["packing"], together.resolved["packing"]) == (False, True)
    assert losses(bench, together) == pytest.approx(losses(bench, alone), rel=1e-4)
    assert together.metrics["validation_loss"] == pytest.approx(alone.metrics["validation_loss"], rel=1e-4)


@pytest.mark.parametrize(("stopped_at", "packing"), [(3, False), (8, False), (8, True)])
def test_interrupted_training_equals_an_uninterrupted_one_step_by_step(
    bench: AgentBench, train: Callable[..., TrainingOutput], stopped_at: int, packing: bool
) -> None:
    dials = {"lora": {"dropout": 0.1}, "packing": packing}
    whole = train("whole", **dials)
    bench.records.clear()
    with pytest.raises(StopRequested):
        train("parts", stop_after(bench, stopped_at), **dials)

    resumed = train("parts", {"attempt": 2}, **dials)

    assert "resumed" in bench.events()
    assert losses(bench, resumed) == losses(bench, whole)
    assert resumed.files["adapter_model.safetensors"].sha256 == whole.files["adapter_model.safetensors"].sha256


def test_accumulated_micro_batches_equal_one_batch(bench: AgentBench, train: Callable[..., TrainingOutput]) -> None:
    dials = {"precision": "fp32", "epochs": 1, "label_smoothing": 0.1}
    whole = train("whole", batch_size=8, **dials)
    cut = train("cut", batch_size=2, gradient_accumulation=4, **dials)
    halved = train("halved", {"attempt_notes": {"out_of_memory": 2}}, batch_size=8, **dials)
    assert losses(bench, cut) == pytest.approx(losses(bench, whole), rel=1e-4)
    assert losses(bench, halved) == pytest.approx(losses(bench, whole), rel=1e-4)
    assert halved.resolved["micro_batch"] == 2


def test_the_loss_is_the_mean_over_the_answers_tokens_of_a_step(
    bench: AgentBench, train: Callable[..., TrainingOutput], prepared: PreprocessingOutput, tiny_decoder: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from agents.data.batches import epoch_order, read_rows

    dials = {"precision": "fp32", "method": "full", "learning_rate": 1e-6, "length_grouping": False}
    first = losses(bench, train(epochs=1, **dials))[0]
    rows = read_rows(bench.objects, prepared.splits["train"], bench.work_dir, target="loss_mask")
    model = AutoModelForCausalLM.from_pretrained(tiny_decoder)
    total, count = 0.0, 0
    for row in epoch_order(len(rows), seed=42, epoch=0)[:8]:
        span = slice(rows.starts[row], rows.starts[row + 1])
        targets = torch.from_numpy(rows.targets[span])
        with torch.inference_mode():
            logits = model(input_ids=torch.from_numpy(rows.tokens[span])[None]).logits[0]
        total += float(torch.nn.functional.cross_entropy(logits, targets, ignore_index=-100, reduction="sum"))
        count += int((targets != -100).sum())
    assert first == pytest.approx(total / count, rel=1e-4)


def test_rows_of_another_task_or_template_are_refused(
    bench: AgentBench, prepared: PreprocessingOutput, tiny_decoder: Path
) -> None:
    def run(data: PreprocessingOutput, **config: Any) -> None:
        context = bench.context("training", {"preprocessing": data})
        TrainingAgent().run(TrainingConfig(model=str(tiny_decoder), **config), context)

    assert prepared.prompt is not None
    other = prepared.prompt.model_copy(update={"fingerprint": "0" * 64})
    with pytest.raises(InvalidData, match="made for the task 'sft', the training's is 'classification'"):
        run(prepared)
    with pytest.raises(InvalidModel, match="made with a template 'tokenizer' of fingerprint 0000"):
        run(prepared.model_copy(update={"prompt": other}), task="sft")


def test_a_decoder_from_a_gguf_file_can_be_written_and_read_again(short_smollm2: Path, tmp_path: Path) -> None:
    import torch

    from agents.models.loading import load_decoder

    model = load_decoder(short_smollm2, "float32", cache_dir=tmp_path)
    model.save_pretrained(tmp_path / "again")
    again = load_decoder(tmp_path / "again", "float32", cache_dir=tmp_path)
    ids = torch.tensor([[504, 3575, 282]])
    with torch.inference_mode():
        assert torch.equal(model(input_ids=ids).logits, again(input_ids=ids).logits)


def test_an_encoder_is_refused(bench: AgentBench, prepared: PreprocessingOutput) -> None:
    from agents.models.loading import load_decoder

    with pytest.raises(InvalidModel, match="Name a decoder"):
        load_decoder(MINILM_FOLDER, "float32", cache_dir=bench.work_dir)
