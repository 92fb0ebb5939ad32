"""Work in a process of its own, with the store of `local_agents`: neither memory nor compiled kernels carry over."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from agents.base.object_store import ObjectStore
from benchmarks._local import LocalAgents

Work = Callable[..., dict[str, Any]]


class Peak:
    """The most memory that this process held since it was made, beyond what it held then; Linux only."""

    def __init__(self) -> None:
        # 5: "reset the peak resident set size" (proc(5), /proc/pid/clear_refs).
        Path("/proc/self/clear_refs").write_text("5")
        self.held_mib = psutil.Process().memory_info().rss >> 20

    def mib(self) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        high_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        return (high_kib >> 10) - self.held_mib


def apart(agents: LocalAgents, work: Work, *arguments: Any) -> dict[str, Any]:
    """Return `work(agents, *arguments)`, called in a new process with its libraries loaded; both must be picklable."""
    agents.runs += 1
    place = (agents.objects.endpoint_url, agents.objects.bucket, agents.folder, agents.roots, agents.runs)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_work, place, work, arguments).result()


def _work(
    place: tuple[str, str, Path, tuple[Path, ...], int], work: Work, arguments: tuple[Any, ...]
) -> dict[str, Any]:
    import warnings

    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    _import_what_all_need()
    endpoint_url, bucket, folder, roots, runs = place
    objects = ObjectStore(endpoint_url, "benchmark", "benchmark-secret", bucket)
    return work(LocalAgents(objects, folder, roots, runs=1000 * runs), *arguments)


def _import_what_all_need() -> None:
    """Libraries are no part of what a training takes: loaded before anything is measured."""
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, Trainer

    loaded = (get_peft_model, AutoModelForCausalLM, AutoModelForSequenceClassification, Trainer)
    if not all(loaded):
        sys.exit(os.EX_SOFTWARE)
