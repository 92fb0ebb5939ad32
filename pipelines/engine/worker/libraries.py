"""How the heavy libraries are to behave in an agent's process; set before any of them is imported."""

import contextlib
import os
import threading

from agents.base.system import quiet_bitsandbytes, refuse_foreign_kernels


def tame() -> None:
    """Make them quiet, safe to end with their process, and content with the code that is installed."""
    # Threads of tokenizers do not live through a fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    refuse_foreign_kernels()
    quiet_bitsandbytes()
    with contextlib.suppress(ImportError):
        from tqdm import tqdm

        # Its own lock is a semaphore of the system's, which agents' processes would leave behind.
        tqdm.set_lock(threading.RLock())
