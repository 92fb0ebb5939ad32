"""What heavy agents import; the forkserver loads it once for all of them."""

import contextlib
import importlib
import os

#: Threads of tokenizers do not live through a fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

for module in ("torch", "transformers", "peft", "safetensors.torch", "pyarrow.parquet", "sklearn.metrics"):
    # A host of light workers has none of these; a heavy agent there says what is missing.
    with contextlib.suppress(ImportError):
        importlib.import_module(module)
