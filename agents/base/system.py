"""What this host, or the container around the process, has to spare."""

import ctypes
import logging
import os
import resource
import signal
import sys
from pathlib import Path

import psutil

#: Where Linux says what a container may use and uses (control groups, version 2).
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
CONTAINER_USED = Path("/sys/fs/cgroup/memory.current")
#: Where Linux says how much a process has; the sixth number is what it may write to, in pages.
STATM = Path("/proc/self/statm")
#: prctl(2): the signal that a process gets when its parent dies.
PR_SET_PDEATHSIG = 1
#: Parameters of mallopt(3), by glibc's malloc.h, and the value that switches trimming off.
TRIM_THRESHOLD, MMAP_THRESHOLD, NEVER = -1, -3, -1


def free_memory_bytes() -> int:
    """Return how much memory is free on this host, or in this container where that is less."""
    free = int(psutil.virtual_memory().available)
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.exists() else "max"
    return free if limit == "max" else min(free, int(limit) - int(CONTAINER_USED.read_text()))


def writable_bytes() -> int | None:
    """Return how much memory this process has that it may write to; None where the system doesn't say."""
    return int(STATM.read_text().split()[5]) * resource.getpagesize() if STATM.exists() else None


def total_memory_bytes() -> int:
    """Return how much memory this host has, or this container where that is less."""
    total = int(psutil.virtual_memory().total)
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.exists() else "max"
    return total if limit == "max" else min(total, int(limit))


def resident_bytes(process: int) -> int:
    """Return how much memory a process holds; 0 where it is gone."""
    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.Error:
        return 0


def keep_freed_memory() -> None:
    """Have this process keep what it frees, for its next arrays, until its end. On Linux with glibc; else nothing.

    By default glibc maps every large array anew and gives it back at once, so the kernel clears all of its pages each
    time: what that costs is in `docs/benchmarks.md`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # Versions before 2.35 take no more than 32 MiB.
    if not mallopt(MMAP_THRESHOLD, 1 << 30):
        mallopt(MMAP_THRESHOLD, 32 << 20)
    mallopt(TRIM_THRESHOLD, NEVER)


def refuse_foreign_kernels() -> None:
    """Have transformers, once it is imported, fetch no kernels from a hub: they are code of others, and models of some
    kinds would ask for them. Before its first import; processes that are started later take it over.
    """
    os.environ["USE_HUB_KERNELS"] = "NO"


def quiet_bitsandbytes() -> None:
    """Leave out what it says when it is imported: that a faster kernel could be fetched, which nothing here does."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def die_with_parent(parent: int, how: signal.Signals) -> None:
    """Have the kernel end this process by a signal when `parent`, which started it, dies. On Linux; else nothing."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        # It died before the kernel was told.
        os.kill(os.getpid(), how)
