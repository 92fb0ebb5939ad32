"""What other libraries say: kept off our output; and the first of their faults, for a message to the user."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from transformers import modeling_gguf_pytorch_utils
from transformers.utils import logging as switches

from agents.base.errors import first_line
from agents.base.system import quiet_bitsandbytes


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence loading and saving: bars, notes about new heads, and the libraries' warnings to each other."""
    quiet_bitsandbytes()
    # The bar of a GGUF's conversion is the one that does not heed their own switch.
    modeling_gguf_pytorch_utils.tqdm = switches.tqdm
    verbosity, bars = switches.get_verbosity(), switches.is_progress_bar_enabled()
    switches.set_verbosity_error()
    switches.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # PEFT asks transformers for a property by its old name.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is", category=FutureWarning)
            yield
    finally:
        switches.set_verbosity(verbosity)
        if bars:
            switches.enable_progress_bar()


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Silence exporters besides: all that they log below an error, and their use of deprecated parts."""
    with quiet_libraries(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def root_cause(fault: BaseException) -> str:
    """Return the first line of what a library met first, for a message to the user."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    return first_line(fault)
