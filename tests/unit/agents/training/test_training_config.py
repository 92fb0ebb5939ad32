"""The dials of training: strict, and refused where they could not work."""

import pytest
from pydantic import ValidationError

from agents.base.records import Config
from agents.preprocessing.types import PreprocessingConfig
from agents.training import TrainingAgent
from agents.training.types import LoraSettings, TrainingConfig


class OtherConfig(Config):
    model: str | None = None


def test_a_training_that_would_never_write_a_checkpoint_is_refused() -> None:
    with pytest.raises(ValidationError, match="would never write a checkpoint"):
        TrainingConfig(model="m", save_steps=0)


@pytest.mark.parametrize(
    "faulty",
    [
        {"epochs": "2"},
        {"method": "prefix"},
        {"learning_rat": 0.1},
        {"lora": {"rank": 4}},
        {"lora": {"target_modules": "all"}},
        {"batch_size": 0},
        {"model": ""},
    ],
)
def test_wrong_types_and_unknown_keys_are_refused(faulty: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate({"model": "m", **faulty})


def test_whole_and_broken_numbers_of_epochs_are_both_good() -> None:
    assert TrainingConfig.model_validate({"model": "m", "epochs": 2}).epochs == 2
    assert TrainingConfig.model_validate({"model": "m", "epochs": 0.5}).epochs == 0.5


def test_an_adapter_without_targets_is_refused() -> None:
    with pytest.raises(ValidationError, match="nothing would be trained"):
        TrainingConfig(model="m", lora=LoraSettings(target_modules=[]))


def test_base_dropout_is_off_for_adapters_and_on_for_whole_models() -> None:
    assert not TrainingConfig(model="m").keeps_base_dropout
    assert TrainingConfig(model="m", method="full").keeps_base_dropout
    assert TrainingConfig(model="m", base_dropout=True).keeps_base_dropout


def test_rows_made_for_another_model_are_a_fault_of_the_spec() -> None:
    config = TrainingConfig(model="a")
    assert TrainingAgent.check(config, {"preprocessing": OtherConfig(model="a"), "dataset": OtherConfig()}) == []
    (fault,) = TrainingAgent.check(config, {"preprocessing": OtherConfig(model="b")})
    assert "'preprocessing' makes tokens for b" in fault


def test_rows_made_for_another_task_are_a_fault_of_the_spec() -> None:
    faults = TrainingAgent.check(TrainingConfig(task="sft", model="a"), {"rows": PreprocessingConfig(model="a")})
    assert faults == ["'task' is sft, but 'rows' has classification: both must name the same task"]


def test_answers_are_validated_by_loss_unless_told_otherwise_and_never_by_labels() -> None:
    assert TrainingConfig(task="sft", model="m").metric == "loss"
    assert TrainingConfig(task="sft", model="m", metric="exact_match").metric == "exact_match"
    with pytest.raises(ValidationError, match="metric: f1 is not of task: sft, whose metric is loss or exact_match"):
        TrainingConfig(task="sft", model="m", metric="f1")
    for dial in ({"class_weights": "balanced"}, {"positive_label": "spam"}):
        with pytest.raises(ValidationError, match=f"{next(iter(dial))} is for task: classification, not for task: sft"):
            TrainingConfig.model_validate({"task": "sft", "model": "m", **dial})
    with pytest.raises(ValidationError, match="exact_match is not of task: classification"):
        TrainingConfig(model="m", metric="exact_match")
