"""What heavy agents import; the forkserver loads it once for all of them."""

import contextlib
import importlib
import os

from pipelines.engine.worker.libraries import tame
from pipelines.engine.worker.nvidia import is_managed

tame()

#: Agents that may use a GPU have an interpreter of their own; here CUDA would but hold memory on it for nothing.
visible = os.environ.get("CUDA_VISIBLE_DEVICES")
managed = is_managed()
if managed:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

for module in ("torch", "transformers", "peft", "safetensors.torch", "pyarrow.parquet", "sklearn.metrics"):
    # A host of light workers has none of these; a heavy agent there says what is missing.
    with contextlib.suppress(ImportError):
        importlib.import_module(module)

# Workers come from here too, and lend what they may see.
if managed and visible is not None:
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
elif managed:
    del os.environ["CUDA_VISIBLE_DEVICES"]
