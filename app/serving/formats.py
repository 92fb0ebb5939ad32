"""Which of a version's formats this machine serves."""

import importlib.util
from pathlib import Path

from app.settings import DecoderFormat, ServingFormat

ADAPTER = "adapter"
ONNX_FORMATS = ("onnx_int8", "onnx")
GGUF_FORMATS = ("gguf_q8_0", "gguf_q4_k_m", "gguf_f16")
#: By torch. A GPU's memory is scarcer than its time, a CPU's time is scarcer than its memory.
TORCH_ON_GPU = (ADAPTER, "merged")
TORCH_ON_CPU = ("merged", ADAPTER)
#: Fastest first; each was proven at its export to answer as the trained model does, which an adapter is itself.
CPU_FORMATS = (*ONNX_FORMATS, *TORCH_ON_CPU)
CPU_DECODER_FORMATS = (*GGUF_FORMATS, *TORCH_ON_CPU)


def preferred_formats(wanted: ServingFormat) -> tuple[str, ...]:
    """Return the formats to look for in a version, best first; `auto`: as this machine allows."""
    if wanted != "auto":
        return (wanted,)
    return in_order(ONNX_FORMATS if importlib.util.find_spec("onnxruntime") else (), _has_gpu())


def preferred_decoder_formats(wanted: DecoderFormat) -> tuple[str, ...]:
    """Return the formats to look for in a decoder's version, best first; `auto`: as this machine allows."""
    if wanted != "auto":
        return (wanted,)
    installed = importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("libgguf")
    return in_order(GGUF_FORMATS if installed else (), _has_gpu())


def in_order(for_cpus: tuple[str, ...], has_gpu: bool) -> tuple[str, ...]:
    """Return all formats, best first; `for_cpus`: those that run on CPUs without torch, as far as they can be run."""
    return (*TORCH_ON_GPU, *for_cpus) if has_gpu else (*for_cpus, *TORCH_ON_CPU)


def batch_formats(wanted: ServingFormat) -> tuple[str, ...]:
    """Return the formats of asynchronous batches: each has a process of its own, where an adapter shares nothing."""
    preferred = preferred_formats(wanted)
    if ADAPTER not in preferred:
        return preferred
    others = [form for form in preferred if form != ADAPTER]
    return tuple(dict.fromkeys((*others, *TORCH_ON_CPU)))


def _has_gpu() -> bool:
    # Importing torch takes seconds and hundreds of MiB: it is asked only where a driver shows a device.
    if not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/dxg").exists():
        return False
    import torch

    return torch.cuda.is_available()
