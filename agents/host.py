"""What this host, or the container around the process, has to spare."""

from pathlib import Path

import psutil

#: Where Linux says what a container may use and uses (control groups, version 2).
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
CONTAINER_USED = Path("/sys/fs/cgroup/memory.current")


def free_memory_bytes() -> int:
    """Return how much memory is free on this host, or in this container where that is less."""
    free = int(psutil.virtual_memory().available)
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.exists() else "max"
    return free if limit == "max" else min(free, int(limit) - int(CONTAINER_USED.read_text()))
