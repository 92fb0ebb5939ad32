"""Whether a training fits: worked out from a model's files, without loading it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agents.base.errors import InvalidModel, InvalidSpec, NoSpace
from agents.model_memory import USABLE_SHARE, Shape
from agents.training.config import LoraSettings, TrainingConfig
from agents.training.estimate import (
    Load,
    Need,
    check_disk,
    choose_micro_batch,
    disk_bytes,
    estimate,
    trained_parameters,
)
from tests.support.prepared import MINILM_FOLDER

LLAMA_1B = Shape(parameters=1_100_000_000, layers=22, width=2048, heads=32, inner_width=5632, vocabulary=32_000)
LOAD = Load(rows=16, tokens=512, bytes_per_value=2, predicts_tokens=True)
LORA = TrainingConfig(model="x", lora=LoraSettings(r=8))


def with_method(method: str) -> TrainingConfig:
    return LORA.model_copy(update={"method": method})


def test_a_models_shape_is_read_from_its_files() -> None:
    shape = Shape.read(MINILM_FOLDER)

    assert (shape.layers, shape.width, shape.heads, shape.inner_width, shape.vocabulary) == (6, 384, 12, 1536, 30522)
    assert shape.parameters == 22_713_728


def test_a_folder_without_a_model_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"no readable config\.json"):
        Shape.read(tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    with pytest.raises(InvalidModel, match="num_hidden_layers"):
        Shape.read(tmp_path)


def test_methods_need_less_in_their_order() -> None:
    totals = [estimate(LLAMA_1B, with_method(method), LOAD).total for method in ("full", "lora", "qlora")]

    assert totals == sorted(totals, reverse=True)
    assert estimate(LLAMA_1B, with_method("full"), LOAD) == Need(
        weights=0, optimizer=20 * LLAMA_1B.parameters, activations=estimate(LLAMA_1B, LORA, LOAD).activations
    )


def test_weights_in_4_bits_save_nothing_on_a_cpu() -> None:
    on_cpu = replace(LOAD, on_cpu=True)
    needs = {method: estimate(LLAMA_1B, with_method(method), on_cpu).total for method in ("lora", "qlora")}
    assert needs["lora"] < needs["qlora"]
    one_row = estimate(LLAMA_1B, LORA, replace(on_cpu, rows=1)).total
    with pytest.raises(InvalidSpec) as refused:
        choose_micro_batch(LLAMA_1B, LORA, on_cpu, int((one_row - 1) / USABLE_SHARE))
    assert "max_tokens: 256" in str(refused.value.cure)
    assert "qlora" not in str(refused.value.cure)


def test_a_whole_model_on_a_cpu_needs_about_what_was_measured() -> None:
    shape = Shape.read(MINILM_FOLDER)
    load = Load(rows=32, tokens=76, bytes_per_value=2, predicts_tokens=False, on_cpu=True)
    on_cpu = estimate(shape, with_method("full"), load)
    on_gpu = estimate(shape, with_method("full"), replace(load, on_cpu=False))

    assert on_cpu.as_record()["total_mib"] == pytest.approx(1235, rel=0.1)
    assert on_cpu.optimizer - on_gpu.optimizer == 16 * shape.parameters


def test_the_adapter_that_is_counted_is_the_one_that_is_trained() -> None:
    # 6 layers of 4 modules of 384 x 384 and 2 of 384 x 1536, at rank 8: 331,776.
    assert trained_parameters(Shape.read(MINILM_FOLDER), LORA) == pytest.approx(331_776, rel=0.35)


@pytest.mark.parametrize(("rows", "tokens", "measured_mib"), [(16, 64, 1684), (8, 256, 3771), (4, 512, 4673)])
def test_a_decoders_activations_are_about_what_was_measured(rows: int, tokens: int, measured_mib: int) -> None:
    smollm2 = Shape(parameters=134_515_008, layers=30, width=576, heads=9, inner_width=1536, vocabulary=49_152)
    counted = estimate(smollm2, LORA, Load(rows, tokens, bytes_per_value=2, predicts_tokens=True)).activations
    # A third of the tokens was learned, and so had logits; the estimate counts them for all.
    logits = rows * tokens * smollm2.vocabulary * 8 * 2 // 3

    assert (counted - logits) >> 20 == pytest.approx(measured_mib, rel=0.1)


def test_rows_are_halved_until_they_fit() -> None:
    roomy, _ = choose_micro_batch(LLAMA_1B, LORA, LOAD, 200 << 30)
    rows, need = choose_micro_batch(LLAMA_1B, LORA, LOAD, 24 << 30)

    assert (roomy, rows) == (16, 4)
    assert need.total <= 24 << 30
    assert estimate(LLAMA_1B, LORA, replace(LOAD, rows=8)).total > 0.9 * (24 << 30)


def test_what_does_not_fit_names_settings_that_would() -> None:
    with pytest.raises(InvalidSpec, match=r"about 2\d\.\d GB for a single row of 512 tokens") as refused:
        choose_micro_batch(LLAMA_1B, with_method("full"), LOAD, 8 << 30)

    assert refused.value.cure.count("GB)") == 3
    assert "method: lora (" in refused.value.cure
    with pytest.raises(InvalidSpec, match="smaller base model or a larger machine"):
        choose_micro_batch(LLAMA_1B, with_method("qlora"), LOAD, 100 << 20)


def test_a_disk_that_is_too_small_is_said_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check_disk(LLAMA_1B, LORA, tmp_path)
    full = with_method("full")
    assert disk_bytes(LLAMA_1B, full) - disk_bytes(LLAMA_1B, LORA) > 4 << 30
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=disk_bytes(LLAMA_1B, full) - 1))
    check_disk(LLAMA_1B, LORA, tmp_path)
    with pytest.raises(NoSpace, match=r"writes about 4260 MiB to .*, and 4260 MiB are free") as refused:
        check_disk(LLAMA_1B, full, tmp_path)
    assert "method: lora" in refused.value.cure
