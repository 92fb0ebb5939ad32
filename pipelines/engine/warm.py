"""What heavy agents import; the forkserver loads it once for all of them."""

import contextlib
import importlib
import logging
import os
import threading

from pipelines.engine.nvidia import is_managed

#: Threads of tokenizers do not live through a fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
#: It says at import that a faster kernel could be fetched, which no worker does.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

#: Children that may use a GPU have an interpreter of their own; here CUDA would but hold memory on it for nothing.
visible = os.environ.get("CUDA_VISIBLE_DEVICES")
if is_managed():
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

for module in ("torch", "transformers", "peft", "safetensors.torch", "pyarrow.parquet", "sklearn.metrics"):
    # A host of light workers has none of these; a heavy agent there says what is missing.
    with contextlib.suppress(ImportError):
        importlib.import_module(module)

# Workers come from here too, and choose among what they may see.
if visible is not None:
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
elif is_managed():
    del os.environ["CUDA_VISIBLE_DEVICES"]

with contextlib.suppress(ImportError):
    from tqdm import tqdm

    # Its own lock is a semaphore of the system's, which agents' processes would leave behind.
    tqdm.set_lock(threading.RLock())
