"""What the number of rows decides: seen often where few, and more in all where many."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.training.by_rows import EPOCHS_MOST, chosen
from agents.training.types import TrainingConfig


@pytest.mark.parametrize(
    ("rows", "task", "epochs"),
    [(150, "classification", 12), (1000, "classification", 8), (7593, "classification", 3), (10**6, "sft", 1)],
)
def test_epochs_fall_with_the_rows(rows: int, task: str, epochs: int) -> None:
    assert chosen(TrainingConfig(model="m", task=task), rows)["epochs"] == epochs


@given(st.integers(1, 10**7), st.integers(1, 10**6), st.sampled_from(["lora", "qlora", "full"]))
def test_more_rows_are_never_seen_less_in_all_nor_at_a_higher_rate(rows: int, more: int, method: Any) -> None:
    config = TrainingConfig(model="m", method=method)
    few, many = chosen(config, rows), chosen(config, rows + more)

    assert 1 <= many["epochs"] <= few["epochs"] <= EPOCHS_MOST
    assert many["learning_rate"] <= few["learning_rate"]
    assert 2 <= few["early_stopping_patience"] <= few["epochs"] + 1
    TrainingConfig(model="m", **few)


def test_what_is_set_stays() -> None:
    whole = TrainingConfig(model="m", epochs=3, learning_rate=0.002)
    assert chosen(whole, 10) == {}
    assert set(chosen(TrainingConfig(model="m", epochs=3), 10)) == {"learning_rate"}
    assert set(chosen(TrainingConfig(model="m", early_stopping_patience=9), 10)) == {"epochs", "learning_rate"}
