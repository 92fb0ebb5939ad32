"""Things named by path, `module:name`, and loaded when they are needed: that is how tables name heavy code."""

import importlib
from importlib.util import find_spec
from typing import Any


def load_object(path: str) -> Any:
    """Return what `module:name` names, importing its module.

    Raises:
        ImportError, AttributeError: there is no such thing.
    """
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def can_import(module: str) -> bool:
    """Say whether a module is installed here; nothing is imported."""
    return find_spec(module) is not None
