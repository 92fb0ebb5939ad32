"""The learning rate over time: never 0 where a step is taken, whole at least once, and else that of transformers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_scheduler

from agents.training.optimizer import make_schedule, rate_share, warmup_steps
from agents.training.types import TrainingConfig


@given(st.integers(1, 300), st.floats(0, 0.999), st.sampled_from(["linear", "cosine", "constant"]))
def test_no_step_has_a_rate_of_0_and_one_at_least_has_the_whole(total: int, ratio: float, scheduler: str) -> None:
    config = TrainingConfig(model="package://a/b", warmup_ratio=ratio, scheduler=scheduler)
    shares = [rate_share(step, scheduler, warmup_steps(config, total), total) for step in range(total)]

    assert all(0 < share <= 1 for share in shares)
    assert max(shares) == 1


@pytest.mark.parametrize("scheduler", ["linear", "cosine"])
def test_behind_the_warm_up_it_is_that_of_transformers(scheduler: str) -> None:
    def rates(make: object) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        schedule, found = make(optimizer), []  # type: ignore[operator]
        for _ in range(20):
            found.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        return found

    config = TrainingConfig(model="package://a/b", warmup_ratio=0.2, scheduler=scheduler)
    ours = rates(lambda optimizer: make_schedule(optimizer, config, 20))
    theirs = rates(lambda optimizer: get_scheduler(scheduler, optimizer, num_warmup_steps=4, num_training_steps=20))

    assert ours[4:] == pytest.approx(theirs[4:])
    assert ours[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
