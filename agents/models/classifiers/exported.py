"""Exported classifiers by what is in their folder; each runtime is imported only where it answers."""

from pathlib import Path
from typing import TYPE_CHECKING

from agents.models.classifiers.base import Classifier
from agents.models.files import ONNX_MODEL

if TYPE_CHECKING:
    from agents.models.shared_base import SharedBase


def load_exported(folder: Path, labels: list[str], max_tokens: int, *, base: "SharedBase | None" = None) -> Classifier:
    """Load a format that serving answers with: an adapter over `base`, ONNX where there is its file, or a whole model.

    Raises:
        InvalidModel: the files can't be loaded, don't fit the base, or are of other labels.
    """
    if base is None and (folder / ONNX_MODEL).exists():
        from agents.models.classifiers.onnx import load_onnx

        return load_onnx(folder, labels, max_tokens)
    from agents.models.classifiers.torch import load_merged, load_shared

    return (
        load_merged(folder, labels, max_tokens) if base is None else load_shared(folder, labels, max_tokens, base=base)
    )
