"""Names of model files, which tell what a folder or a file holds; imports no runtime."""

from pathlib import Path

#: The file that tells an adapter in PEFT's layout from a whole model.
ADAPTER_CONFIG = "adapter_config.json"
ONNX_MODEL = "model.onnx"
GGUF_SUFFIX = ".gguf"


def is_gguf(path: Path) -> bool:
    """Say whether a path names a GGUF file."""
    return path.suffix.lower() == GGUF_SUFFIX and not path.is_dir()
