"""Memory that ran out, told apart from other faults; and smaller micro-batches for the next attempt."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from agents.base.errors import OutOfMemory
from agents.base.system import free_memory_bytes


def free_bytes(device: torch.device) -> int:
    """Return how much memory is free on a device: a GPU's own, or that of this host or container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory_bytes()


def used_bytes(device: torch.device) -> int:
    """Return how much memory a training has taken: a GPU's at its peak, or what this process holds."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def micro_batch_after(batch_size: int, times_out_of_memory: int) -> int:
    """Return how many rows go through the model at once: half of it for every attempt that ran out of memory."""
    return int(max(1, batch_size // 2**times_out_of_memory))


@contextmanager
def memory_faults(micro_batch: int) -> Iterator[None]:
    """Raise `OutOfMemory` for what torch raises when memory runs out, on a GPU or not."""
    try:
        yield
    except (RuntimeError, MemoryError) as fault:
        if not _is_memory_fault(fault):
            raise
        raise OutOfMemory(
            f"A micro-batch of {micro_batch} rows does not fit into memory.",
            cure="The next attempt halves it and accumulates twice as often; or lower batch_size or max_tokens.",
        ) from fault


def _is_memory_fault(fault: Exception) -> bool:
    words = str(fault).lower()
    return isinstance(fault, MemoryError) or "out of memory" in words or "can't allocate memory" in words
