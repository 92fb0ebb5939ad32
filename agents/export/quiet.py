"""Other programs' advice about themselves, kept off the worker's output."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from agents.models import quiet_libraries


@contextmanager
def quiet() -> Iterator[None]:
    """Silence exporters: their logs, and their use of deprecated parts."""
    with quiet_libraries(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def root_cause(fault: BaseException) -> str:
    """Return the first line of what an exporter met first, for a message to the user."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    return str(fault).strip().partition("\n")[0] or type(fault).__name__
