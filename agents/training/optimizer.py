"""AdamW and its learning rate over time, with states that go to files without pickle."""

import math
from typing import Any

import torch
from transformers import PreTrainedModel

from agents.training.types import TrainingConfig


def trained_parameters(model: PreTrainedModel) -> dict[str, torch.nn.Parameter]:
    """Return the parameters that get gradients, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def make_optimizer(parameters: dict[str, torch.nn.Parameter], config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter, 2019) in its fused form; vectors (biases, norms) don't decay."""
    matrices = [parameter for parameter in parameters.values() if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters.values() if parameter.ndim <= 1]
    assert config.learning_rate is not None, "a plan has decided"
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate, fused=True)


def make_schedule(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, total_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the learning rate over time: a linear warm-up, then `config.scheduler` down to 0 behind the last step."""
    warmup = warmup_steps(config, total_steps)
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_share(step, config.scheduler, warmup, total_steps)
    )


def rate_share(step: int, scheduler: str, warmup: int, total_steps: int) -> float:
    """Return the share of the peak rate at a step, from 0: that of transformers' schedules, but for the warm-up, which
    does not begin at 0, where a step would learn nothing."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if scheduler == "constant":
        return 1.0
    done = (step - warmup) / max(1, total_steps - warmup)
    return max(0.0, 1 - done if scheduler == "linear" else 0.5 * (1 + math.cos(math.pi * done)))


def warmup_steps(config: TrainingConfig, total_steps: int) -> int:
    """Return the steps of the warm-up: never all, so that one step at least has the whole rate."""
    return min(math.ceil(config.warmup_ratio * total_steps), total_steps - 1)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, parameters: dict[str, torch.nn.Parameter]
) -> dict[str, torch.Tensor]:
    """Return the optimizer's moments and step counts on the CPU as `<what>:<parameter>`."""
    return {
        f"{what}:{name}": value.detach().cpu().contiguous()
        for name, parameter in parameters.items()
        for what, value in optimizer.state[parameter].items()
    }


def set_optimizer_tensors(
    optimizer: torch.optim.Optimizer,
    parameters: dict[str, torch.nn.Parameter],
    tensors: dict[str, torch.Tensor],
) -> None:
    """Set moments and step counts back to what `optimizer_tensors` gave."""
    by_name: dict[str, dict[str, Any]] = {}
    for key, value in tensors.items():
        what, _, name = key.partition(":")
        by_name.setdefault(name, {})[what] = value
    positions = {id(parameter): name for name, parameter in parameters.items()}
    ordered = [positions[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    groups = optimizer.state_dict()["param_groups"]
    state = {index: by_name[name] for index, name in enumerate(ordered) if name in by_name}
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def set_schedule_state(schedule: torch.optim.lr_scheduler.LambdaLR, state: dict[str, Any]) -> None:
    """Set the schedule back; the optimizer's rates follow, which the scheduler itself does not do."""
    schedule.load_state_dict(state)
    for group, rate in zip(schedule.optimizer.param_groups, schedule.get_last_lr(), strict=True):
        group["lr"] = rate
