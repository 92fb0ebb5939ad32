"""Room for an export, asked for before anything is loaded or written: disk and memory by the model's parameters."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from agents.base.errors import NoSpace, OutOfMemory
from agents.base.system import free_memory_bytes
from agents.formats import Format

#: Tokenizers, test rows, libraries.
OTHER_BYTES = 256 << 20


def disk_bytes(forms: Sequence[Format], parameters: int, trained_bytes: int) -> int:
    """Return how many bytes an export writes to its work folder. `forms`: those that others are made from included."""
    if not _written(forms):
        return 0
    return trained_bytes + OTHER_BYTES + int(parameters * sum(form.disk_bytes for form in forms))


def memory_bytes(forms: Sequence[Format], parameters: int) -> int:
    """Return how much memory an export takes at its peak."""
    if not _written(forms):
        return 0
    return OTHER_BYTES + int(parameters * max(form.memory_bytes for form in forms))


def check_room(forms: Sequence[Format], parameters: int, trained_bytes: int, folder: Path) -> None:
    """Refuse a merge or a conversion that would not come to its end, before it begins.

    Raises:
        NoSpace: too little disk, with what is needed and what is free.
        OutOfMemory: too little memory, likewise.
    """
    listed = ", ".join(form.name for form in forms)
    needed, free = disk_bytes(forms, parameters, trained_bytes), shutil.disk_usage(folder).free
    if needed > free:
        raise NoSpace(
            f"Exporting {listed} needs about {needed >> 20} MiB in {folder}, and {free >> 20} MiB are free.",
            cure="Free some space, set TUNELINE_STATE_DIR to a larger disk, or export fewer formats.",
        )
    needed, free = memory_bytes(forms, parameters), free_memory_bytes()
    if needed > free:
        raise OutOfMemory(
            f"Exporting {listed} needs about {needed >> 20} MiB of memory, and {free >> 20} MiB are free.",
            cure="Run the export's queue on a machine with more memory.",
        )


def _written(forms: Sequence[Format]) -> bool:
    return any(form.writer for form in forms)
