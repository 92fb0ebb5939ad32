"""NVIDIA's devices on this host, as `nvidia-smi` tells them: torch need not be there, and CUDA is not started."""

import csv
import shutil
import subprocess
from collections.abc import Iterator, Sequence

import structlog

from pipelines.engine.worker.devices import Device

log = structlog.get_logger()
QUERY = ("--query-gpu=index,uuid,name,memory.total,memory.free", "--format=csv,noheader,nounits")
TIMEOUT_S = 10.0


def is_managed() -> bool:
    """Say whether this host has the tool that its devices are looked at with."""
    return shutil.which("nvidia-smi") is not None


def probe(visible: str | None) -> list[Device] | None:
    """Return the devices, of those in `visible` (as in CUDA_VISIBLE_DEVICES); None without `nvidia-smi`."""
    if not is_managed():
        return None
    try:
        answer = subprocess.run(
            ["nvidia-smi", *QUERY], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as fault:
        log.warning("devices_not_probed", message=str(fault))
        return []
    return chosen(list(parsed(answer)), visible)


def parsed(answer: str) -> Iterator[Device]:
    """Yield the devices in an answer of `nvidia-smi`; one whose memory it can't tell is left out."""
    for row in csv.reader(answer.splitlines(), skipinitialspace=True):
        if len(row) == 5 and row[0].isdigit() and row[3].isdigit() and row[4].isdigit():
            yield Device(int(row[0]), row[1], row[2], int(row[3]), int(row[4]))


def chosen(devices: Sequence[Device], visible: str | None) -> list[Device]:
    """Return the devices named in `visible`: indices as `nvidia-smi` counts, or (beginnings of) UUIDs; None: all."""
    if visible is None:
        return list(devices)
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return [
        d for d in devices if any(n == str(d.index) or (n.startswith("GPU-") and d.uuid.startswith(n)) for n in names)
    ]
