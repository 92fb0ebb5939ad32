"""Room for an export, asked for before anything is loaded or written: disk and memory by the model's parameters."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from agents.base.errors import NoSpace, OutOfMemory
from agents.base.system import free_memory_bytes

#: Bytes a parameter of what each format leaves in the work folder, the merged float32 model included once.
MERGED_BYTES = 4.0
FORMAT_BYTES = {"onnx": 4.0, "onnx_int8": 1.2, "gguf_f16": 2.0, "gguf_q8_0": 1.1, "gguf_q4_k_m": 0.8}
#: All GGUF formats are quantised from the float16 one; 8-bit ONNX from the float32 graph.
MADE_FROM = {"onnx_int8": "onnx", "gguf_q8_0": "gguf_f16", "gguf_q4_k_m": "gguf_f16"}
#: The trained model and the merged one that is held against it, both in float32.
MEMORY_BYTES = 2 * 4.0
#: ONNX is traced from one more copy and holds its graph beside it.
ONNX_MEMORY_BYTES = 4 * 4.0
#: Tokenizers, test rows, libraries.
OTHER_BYTES = 256 << 20


def disk_bytes(formats: Sequence[str], parameters: int, trained_bytes: int) -> int:
    """Return how many bytes an export writes to its work folder."""
    made = {*formats, *(MADE_FROM[form] for form in formats if form in MADE_FROM)} - {"adapter", "merged"}
    if not made and "merged" not in formats:
        return 0
    return trained_bytes + OTHER_BYTES + int(parameters * (MERGED_BYTES + sum(FORMAT_BYTES[form] for form in made)))


def memory_bytes(formats: Sequence[str], parameters: int) -> int:
    """Return how much memory an export takes at its peak."""
    if set(formats) <= {"adapter"}:
        return 0
    return OTHER_BYTES + int(parameters * (ONNX_MEMORY_BYTES if "onnx" in " ".join(formats) else MEMORY_BYTES))


def check_room(formats: Sequence[str], parameters: int, trained_bytes: int, folder: Path) -> None:
    """Say no before a merge or a conversion that would not come to its end.

    Raises:
        NoSpace: too little disk, with what is needed and what is free.
        OutOfMemory: too little memory, likewise.
    """
    listed = ", ".join(formats)
    needed, free = disk_bytes(formats, parameters, trained_bytes), shutil.disk_usage(folder).free
    if needed > free:
        raise NoSpace(
            f"Exporting {listed} needs about {needed >> 20} MiB in {folder}, and {free >> 20} MiB are free.",
            cure="Free some space, set TUNELINE_STATE_DIR to a larger disk, or export fewer formats.",
        )
    needed, free = memory_bytes(formats, parameters), free_memory_bytes()
    if needed > free:
        raise OutOfMemory(
            f"Exporting {listed} needs about {needed >> 20} MiB of memory, and {free >> 20} MiB are free.",
            cure="Run the export's queue on a machine with more memory.",
        )
