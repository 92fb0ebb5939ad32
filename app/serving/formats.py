"""Which of a version's formats this machine serves."""

import importlib.util
from pathlib import Path

from app.settings import DecoderFormat, ServingFormat

#: Fastest first; each was proven at its export to answer as the trained model does.
CPU_FORMATS = ("onnx_int8", "onnx", "merged")
GPU_FORMATS = ("merged", "onnx_int8", "onnx")
GGUF_FORMATS = ("gguf_q8_0", "gguf_q4_k_m", "gguf_f16")


def preferred_formats(wanted: ServingFormat) -> tuple[str, ...]:
    """Return the formats to look for in a version, best first; `auto`: as this machine allows."""
    if wanted != "auto":
        return (wanted,)
    order = GPU_FORMATS if _has_gpu() else CPU_FORMATS
    return order if importlib.util.find_spec("onnxruntime") else ("merged",)


def preferred_decoder_formats(wanted: DecoderFormat) -> tuple[str, ...]:
    """Return the formats to look for in a decoder's version, best first; `auto`: as this machine allows."""
    if wanted != "auto":
        return (wanted,)
    if not (importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("libgguf")):
        return ("merged",)
    return ("merged", *GGUF_FORMATS) if _has_gpu() else (*GGUF_FORMATS, "merged")


def _has_gpu() -> bool:
    # Importing torch takes seconds and hundreds of MiB: it is asked only where a driver shows a device.
    if not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/dxg").exists():
        return False
    import torch

    return torch.cuda.is_available()
