"""One of a training's processes but the first: gradients of its share of the rows (`agents/training/ranks.py`).

Started as `python -m agents.training.follower` with its task as a line of JSON on standard input, whose end ends it.
"""

import json
import os
import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from agents.base.errors import OutOfMemory
from agents.base.system import keep_freed_memory
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.objective import make_objective
from agents.training.gradients import Gradients
from agents.training.memory import memory_faults
from agents.training.model import build_model, choose_placement
from agents.training.optimizer import trained_parameters
from agents.training.plan import Plan
from agents.training.ranks import (
    END,
    OUT_OF_MEMORY_EXIT,
    READY,
    flat,
    flat_gradients,
    join_group,
    read_back,
    spread,
    torch_step,
)
from agents.training.rng import seed_all
from agents.training.types import TrainingConfig


def follow(task: dict[str, Any]) -> None:
    """Work out gradients until the leader says that it was the last step.

    Raises:
        OutOfMemory: a step needs more memory than there is.
    """
    config = TrainingConfig.model_validate(task["config"])
    data = PreprocessingOutput.model_validate(task["data"])
    plan, rank = _plan(task, config, data), task["rank"]
    device = plan.placement.device
    if device.type == "cuda":
        torch.cuda.set_device(device)
    keep_freed_memory()
    seed_all(config.seed)
    with memory_faults(plan.micro_batch):
        model = build_model(
            config,
            Path(task["model"]),
            data.labels,
            plan.placement,
            cache_dir=Path(task["cache_dir"]),
            pad_token_id=task["pad_token_id"],
        )
    parameters = list(trained_parameters(model).values())
    gradients, weights, step = Gradients(model, plan, rank), flat(parameters), torch_step(END, device)
    (Path(task["folder"]) / READY.format(rank=rank)).touch()
    join_group(rank, task["size"], Path(task["folder"]), device)
    while dist.broadcast(step, src=0) is None and int(step) != END:
        dist.broadcast(weights, src=0)
        spread(parameters, weights)
        torch.manual_seed(hash((config.seed, int(step), rank)))
        with memory_faults(plan.micro_batch):
            loss = gradients.add(int(step))
        dist.reduce(flat_gradients(parameters, loss), 0)
        model.zero_grad(set_to_none=True)
    dist.destroy_process_group()


def _plan(task: dict[str, Any], config: TrainingConfig, data: PreprocessingOutput) -> Any:
    """Return the leader's plan with this process's device, and without the validation's rows."""
    train = read_back(Path(task["folder"]), per_token=config.known_task.learns_tokens)
    placement = choose_placement(config)
    if placement.device.type == "cuda":
        placement = replace(placement, device=torch.device("cuda", task["rank"]))
    return Plan(config, placement, task["micro_batch"], make_objective(config, data, train), train, train)


def _end_with_the_leader() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_leader, daemon=True).start()
    try:
        follow(task)
    except OutOfMemory:
        os._exit(OUT_OF_MEMORY_EXIT)
    except Exception:
        # For the leader, which reads the last line.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    # Threads of native libraries may hang at exit, and nothing is left to do.
    os._exit(0)


if __name__ == "__main__":
    main()
