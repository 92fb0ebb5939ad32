"""Several processes for one training, by torch.distributed: the first leads, the others work out gradients.

For every step the leader sends step and weights, all work out gradients of their share of its rows, and the sum comes
back to the leader, which alone has optimizer, checkpoints and the last word. A follower keeps nothing between steps:
nothing of it need be saved, and its dropout comes from (seed, step, rank). What is sent is as much as in an all-reduce.

    leader                                  follower (agents/training/follower.py)
    broadcast [step], weights        ->     take them
    gradients of its rows                   gradients of its rows
    sum <------------------------ reduce    gradients, loss
    clip, optimizer step
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self

import numpy as np
import torch
import torch.distributed as dist

from agents.base.agent import Context
from agents.base.errors import OutOfMemory, WorkerLost
from agents.data.batches import Rows
from agents.preprocessing.types import PreprocessingOutput
from agents.training.plan import Plan

#: A follower waits as long as validations and checkpoints of the leader may take; the node's own timeout ends both.
TIMEOUT = timedelta(days=1)
#: The exit code of a follower whose memory ran out.
OUT_OF_MEMORY_EXIT = 75
#: Sent instead of a step: there are no more.
END = -1
#: A follower that has loaded its model leaves this in the folder.
READY = "ready_{rank}"
POLL_S = 0.05
ROWS = "rows.npz"
PACKAGE_ROOT = Path(__file__).parent.parent.parent


class Leader:
    """The leading process's side. With `size` 1 there are no followers, and nothing is sent."""

    def __init__(self, plan: Plan, task: Mapping[str, Any], work_dir: Path) -> None:
        """`task`: what followers are told, JSON; they meet in a new folder below `work_dir`."""
        self._size, self._device, self._task = plan.processes, plan.placement.device, task
        self._plan, self._folder = plan, work_dir
        self._followers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        if self._size > 1:
            try:
                self._folder = Path(mkdtemp(prefix="ranks-", dir=self._folder))
                write_rows(self._plan.train, self._folder)
                self._followers = [self._start(rank) for rank in range(1, self._size)]
                self._wait_until_ready()
                join_group(0, self._size, self._folder, self._device)
            except BaseException:
                self._end()
                raise
        return self

    def __exit__(self, *fault: object) -> None:
        if self._size > 1:
            if fault[0] is None:
                with suppress(RuntimeError):
                    dist.broadcast(torch_step(END, self._device), src=0)
                for follower in self._followers:
                    with suppress(subprocess.TimeoutExpired):
                        follower.wait(timeout=10)
            self._end()
            with suppress(RuntimeError):
                dist.destroy_process_group()

    def send(self, step: int, weights: Iterable[torch.Tensor]) -> None:
        """Have the followers work on a step.

        Raises:
            WorkerLost, OutOfMemory: a follower is no longer there.
        """
        if self._size > 1:
            self._try(dist.broadcast, torch_step(step, self._device), 0)
            self._try(dist.broadcast, flat(weights), 0)

    def collect(self, weights: Iterable[torch.nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
        """Make each gradient the sum over all processes, and return that of the loss.

        Raises:
            WorkerLost, OutOfMemory: a follower is no longer there.
        """
        if self._size == 1:
            return loss

        parameters = list(weights)
        summed = flat_gradients(parameters, loss)
        self._try(dist.reduce, summed, 0)
        spread([_gradient(parameter) for parameter in parameters], summed[:-1])
        return summed[-1]

    def _start(self, rank: int) -> subprocess.Popen[bytes]:
        task = {**self._task, "rank": rank, "size": self._size, "folder": str(self._folder)}
        paths = [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"}
        with (self._folder / f"rank_{rank}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "agents.training.follower"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
            )
        assert process.stdin, "it was asked for"
        # It stays open: its end tells the follower that the leader is gone.
        process.stdin.write(json.dumps(task).encode() + b"\n")
        process.stdin.flush()
        return process

    def _wait_until_ready(self) -> None:
        """Meeting would wait for ever for one that has failed before it came to it."""
        while any(not (self._folder / READY.format(rank=rank)).exists() for rank in range(1, self._size)):
            if any(follower.poll() is not None for follower in self._followers):
                raise self._lost()
            time.sleep(POLL_S)

    def _try(self, operation: Any, tensor: torch.Tensor, rank: int) -> None:
        try:
            operation(tensor, rank)
        except RuntimeError as fault:
            raise self._lost() from fault

    def _lost(self) -> WorkerLost | OutOfMemory:
        """Say what became of the followers: one that ended breaks the connection of all."""
        for rank, follower in enumerate(self._followers, start=1):
            with suppress(subprocess.TimeoutExpired):
                follower.wait(timeout=2)
            if follower.returncode == OUT_OF_MEMORY_EXIT:
                return OutOfMemory(f"The training's process {rank} ran out of memory.")
            if follower.returncode is not None:
                said = (self._folder / f"rank_{rank}.log").read_text(errors="replace").strip().splitlines()
                last = f": {said[-1]}" if said and follower.returncode > 0 else ""
                return WorkerLost(f"The training's process {rank} ended by itself ({follower.returncode}){last}.")
        return WorkerLost("The training's processes lost each other.")

    def _end(self) -> None:
        for follower in self._followers:
            follower.kill()
            follower.wait()
            if follower.stdin:
                with suppress(BrokenPipeError):
                    follower.stdin.close()


def follower_task(
    plan: Plan, data: PreprocessingOutput, model: Path, pad_token_id: int | None, context: Context
) -> dict[str, Any]:
    """Return what a follower needs to know, JSON; the rows are in a file."""
    return {
        "config": plan.config.model_dump(mode="json"),
        "data": data.model_dump(mode="json"),
        "model": str(model),
        "cache_dir": str(context.sources.cache_dir),
        "pad_token_id": pad_token_id,
        "micro_batch": plan.micro_batch,
    }


def write_rows(rows: Rows, folder: Path) -> None:
    np.savez(folder / ROWS, tokens=rows.tokens, starts=rows.starts, targets=rows.targets)


def read_back(folder: Path, *, per_token: bool) -> Rows:
    """Return what `write_rows` wrote."""
    with np.load(folder / ROWS, allow_pickle=False) as arrays:
        return Rows(arrays["tokens"], arrays["starts"], arrays["targets"], per_token=per_token)


def join_group(rank: int, size: int, folder: Path, device: torch.device) -> None:
    """Meet the other processes over a file in `folder`; on CPUs by gloo on loopback, on GPUs by NCCL."""
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // size))
    backend = "gloo" if device.type == "cpu" else "nccl"
    dist.init_process_group(
        backend, init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size, timeout=TIMEOUT
    )


def torch_step(step: int, device: torch.device) -> torch.Tensor:
    return torch.tensor([step], dtype=torch.int64, device=device)


def flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """Return all values one after the other, float32."""
    return torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])


def flat_gradients(parameters: Iterable[torch.nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
    """Return all gradients one after the other, and the loss last; a follower may have had no rows, and so none."""
    weights = list(parameters)
    gradients = [_gradient(parameter) for parameter in weights]
    return flat([*gradients, loss.to(weights[0].device)])


def spread(tensors: Iterable[torch.Tensor], values: torch.Tensor) -> None:
    """Put what `flat` gave back into tensors of the same shapes."""
    place = 0
    with torch.no_grad():
        for tensor in tensors:
            tensor.copy_(values[place : place + tensor.numel()].view_as(tensor))
            place += tensor.numel()


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
